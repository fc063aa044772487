//! Takes results from caches for a build: what `exec` asks for goes to places, and what comes back is checked.

use std::time::Instant;

use super::config::{self, CacheOptions, CacheUse, PlaceKind, Privacy};
use super::fetch;
use super::place::{Part, ReadProblem, Reader, told};
use super::remember::{self, RememberedResult};
use super::state::{CacheMemory, KnownPlace};
use super::statement::{Judge, ResultProblem, SignedResult, fitting};
use super::{RESULT_LIMIT, result_name};
use crate::exec::cache::{ResultOrigin, StepCache, TakenResult, WantedResult};
use crate::exec::event::{StepEvent, StepListener};
use crate::ops::error::OpsError;
use crate::ops::sign::{Key, Trust};
use crate::store::{Store, StoreError, Visibility};
use crate::world::World;

/// The caches of one build.
pub(in crate::ops) struct StepCaches<'a> {
    store: &'a Store,
    world: &'a dyn World,
    listener: &'a dyn StepListener,
    trust: Trust,
    recipe: String,
    places: Vec<KnownPlace>,
}

/// What a build works with.
#[derive(Clone, Copy)]
pub(in crate::ops) struct CacheServices<'a> {
    pub(in crate::ops) store: &'a Store,
    pub(in crate::ops) world: &'a dyn World,
    pub(in crate::ops) listener: &'a dyn StepListener,
    /// What was found out about caches before.
    pub(in crate::ops) memory: &'a CacheMemory,
}

/// Whether a network may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Network {
    Allowed,
    Forbidden,
}

impl<'a> StepCaches<'a> {
    /// The caches that the user has named, or none: where nobody is trusted, nothing can be taken.
    pub(in crate::ops) fn open(
        services: CacheServices<'a>,
        recipe: &str,
        (options, network): (&CacheOptions, Network),
    ) -> Result<Option<StepCaches<'a>>, OpsError> {
        let CacheServices { store, world, listener, memory } = services;
        if options.wanted == CacheUse::Nothing {
            return Ok(None);
        }
        let mut places = match options.wanted {
            CacheUse::Ask => config::places(world, options)?,
            CacheUse::Remembered | CacheUse::Nothing => Vec::new(),
        };
        let trust = match Trust::any(world, &options.trusted) {
            // Whoever uses no caches is told of that list by `kiln verify --signed`.
            Err(_) if places.is_empty() && options.trusted.is_empty() => return Ok(None),
            trust => trust?,
        };
        if trust.is_empty() {
            if !places.is_empty() {
                let message = "nothing is taken from caches, since no keys are trusted: list them in kiln/trusted-keys of the \
                               user's configuration, or name a file with --trusted-keys";
                listener.on(StepEvent::Warning { message: message.to_owned() });
            }
            return Ok(None);
        }
        places.retain(|place| {
            network == Network::Allowed || matches!(place.kind, PlaceKind::Directory(_) | PlaceKind::Layout(_))
        });
        let places = places.into_iter().map(|place| KnownPlace::new(place, memory)).collect();
        Ok(Some(StepCaches { store, world, listener, trust, recipe: recipe.to_owned(), places }))
    }

    fn judge(&self) -> Judge<'_> {
        Judge { trust: &self.trust, recipe: &self.recipe, now: self.world.now() }
    }

    /// Places that may be asked for a result.
    fn asked(&self, wanted: &WantedResult<'_>) -> impl Iterator<Item = &KnownPlace> {
        let private = wanted.visibility == Visibility::Owner;
        let may =
            move |known: &&KnownPlace| !known.is_left_alone() && (!private || known.place.privacy == Privacy::Private);
        self.places.iter().filter(may)
    }

    /// What one key says in one place.
    fn ask(&self, known: &KnownPlace, key: &Key, wanted: &WantedResult<'_>) -> Option<TakenResult> {
        let name = result_name(&wanted.action, &key.file_name());
        let reader = Reader { world: self.world, stop: wanted.stop };
        #[expect(clippy::disallowed_methods, reason = "a bound on waiting, which decides no bit")]
        let began = Instant::now();
        let read = reader.small(&known.place, (Part::Results, &name), RESULT_LIMIT);
        known.waited(began.elapsed(), self.listener);
        let bytes = self.noted(known, (Part::Results, &name), read)?;
        let judged = SignedResult::read(&bytes).and_then(|signed| {
            let (statement, signer) = signed.judged(&self.judge(), &wanted.action)?;
            Ok((signed, statement, signer))
        });
        let (signed, statement, signer) = match judged {
            Ok(judged) => judged,
            Err(ResultProblem::Signer(problem)) => {
                known.refused(problem.to_string());
                return None;
            }
            Err(ResultProblem::Wrong(why)) => {
                known.bad(&told(Part::Results, &name, &why), self.listener);
                return None;
            }
        };
        if signer.key != key.shown() {
            known.bad(&told(Part::Results, &name, "it is signed by another key than its name says"), self.listener);
            return None;
        }
        let Some(outputs) = fitting(&statement, wanted) else {
            known.bad(&told(Part::Results, &name, "its outputs are not those of the step"), self.listener);
            return None;
        };
        known.took();
        let cache = known.place.name.clone();
        // Not to remember costs a question later.
        let remembered = RememberedResult { cache: cache.clone(), signer: key.file_name(), signed };
        let _ = remember::put(self.store, &wanted.action, (&remembered, &statement));
        Some(TakenResult { outputs, origin: ResultOrigin::Signed { cache, signer: signer.name, key: signer.key } })
    }

    /// The value, or nothing and what is to be told of that.
    fn noted<T>(&self, known: &KnownPlace, (part, name): (Part, &str), read: Result<T, ReadProblem>) -> Option<T> {
        match read {
            Ok(value) => return Some(value),
            Err(ReadProblem::Bad(why)) => known.bad(&told(part, name, &why), self.listener),
            Err(ReadProblem::Down(why)) => known.down(&why, self.listener),
            Err(ReadProblem::Missing | ReadProblem::Stopped | ReadProblem::Store(_)) => {}
        }
        None
    }

    /// Says why nothing was taken from a cache that has results.
    pub(in crate::ops) fn conclude(&self) {
        self.places.iter().for_each(|known| known.conclude(self.listener));
    }
}

impl StepCache for StepCaches<'_> {
    fn result(&self, wanted: &WantedResult<'_>) -> Option<TakenResult> {
        if let Some(taken) = self.remembered(wanted) {
            return Some(taken);
        }
        let keys = self.trust.keys();
        for known in self.asked(wanted) {
            for key in &keys {
                if (wanted.stop)() || known.is_left_alone() {
                    break;
                }
                if let Some(taken) = self.ask(known, key, wanted) {
                    return Some(taken);
                }
            }
        }
        None
    }

    fn remembered(&self, wanted: &WantedResult<'_>) -> Option<TakenResult> {
        remember::get(self.store, &self.judge(), &wanted.action)
    }

    fn fetch(&self, wanted: &WantedResult<'_>, taken: &TakenResult) -> Result<bool, StoreError> {
        let reader = Reader { world: self.world, stop: wanted.stop };
        let target = fetch::FetchTarget { store: self.store, listener: self.listener, visibility: wanted.visibility };
        for (name, output) in &taken.outputs {
            let mut there = matches!(self.store.output(output)?, crate::store::Presence::Good(_));
            // Where the result came from is asked first.
            let mut places: Vec<&KnownPlace> = self.asked(wanted).collect();
            let from = |known: &KnownPlace| matches!(&taken.origin, ResultOrigin::Signed { cache, .. } if *cache == known.place.name);
            places.sort_by_key(|known| !from(known));
            for known in places {
                if there {
                    break;
                }
                match target.output(&reader, &known.place, (name, output)) {
                    Ok(()) => there = true,
                    Err((_, ReadProblem::Stopped)) => return Err(StoreError::Interrupted),
                    Err((_, ReadProblem::Store(error))) => return Err(error),
                    Err(((part, file), problem)) => _ = self.noted::<()>(known, (part, &file), Err(problem)),
                }
            }
            if !there {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
