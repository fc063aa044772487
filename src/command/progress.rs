//! Progress on standard error: bars on a terminal, one line an event elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::base::{ByteSize, Foreign, counted, tell};
use crate::exec::Outlook;
use crate::exec::cache::ResultOrigin;
use crate::exec::event::{StepEvent, StepListener};
use crate::world::download::ServerWait;

/// What is said of a step that does not start from nothing.
const INCREMENTAL: &str = "incremental, from an earlier build directory";

/// The renderer that fits where standard error goes.
pub fn listener() -> Box<dyn StepListener + Send> {
    if is_drawn_on() { Box::new(Bars::on(MultiProgress::new())) } else { Box::new(Lines::default()) }
}

/// Whether standard error is a terminal that understands more than lines. On one that does not (TERM=dumb), bars are hidden, and so would
/// be every line above them.
pub(super) fn is_drawn_on() -> bool {
    std::io::stderr().is_terminal() && !MultiProgress::new().is_hidden()
}

#[derive(Default)]
struct Fetching {
    files: u64,
    bytes: u64,
    done: u64,
    shown: u64,
}

/// One line an event; downloads are told every tenth.
#[derive(Default)]
struct Lines {
    fetching: Mutex<Fetching>,
}

impl StepListener for Lines {
    fn on(&self, event: StepEvent) {
        match event {
            StepEvent::Planned(outlook) => crate::tell!("{}", planned(&outlook)),
            StepEvent::FetchPlanned { files, bytes } => {
                let mut fetching = lock(&self.fetching);
                fetching.files += files;
                fetching.bytes += bytes;
                crate::tell!("fetch: {}, {}", counted(files, "file"), ByteSize(bytes).rounded());
            }
            StepEvent::FetchProgress { bytes } => {
                let mut fetching = lock(&self.fetching);
                fetching.done += bytes;
                let tenth = fetching.done * 10 / fetching.bytes.max(1);
                if tenth > fetching.shown {
                    fetching.shown = tenth;
                    crate::tell!(
                        "fetch: {} of {}",
                        ByteSize(fetching.done).rounded(),
                        ByteSize(fetching.bytes).rounded()
                    );
                }
            }
            StepEvent::StepCached { step, id } => crate::tell!("{step}: cached ({})", id.short()),
            StepEvent::StepTaken { step, id, origin } => {
                crate::tell!("{step}: {} ({})", taken(&origin), id.short());
            }
            StepEvent::StepStarted { step, id } => crate::tell!("{step}: running ({})", id.short()),
            StepEvent::StepIncremental { step } => crate::tell!("{step}: {INCREMENTAL}"),
            StepEvent::StepFinished { step, millis } => crate::tell!("{step}: done in {}", seconds(millis)),
            StepEvent::Warning { message } => crate::tell!("warning: {message}"),
            StepEvent::Waiting(waiting) => crate::tell!("{}", waited(&waiting)),
            StepEvent::Fetched { .. } | StepEvent::StepLog { .. } | StepEvent::StepProgress { .. } => {}
        }
    }
}

/// Bars: one for downloads, a spinner for every running step. Whatever else is said meanwhile stands above them.
struct Bars {
    bars: MultiProgress,
    state: Mutex<BarState>,
}

#[derive(Default)]
struct BarState {
    fetch: Option<ProgressBar>,
    steps: Vec<(String, ProgressBar)>,
}

impl Bars {
    fn on(bars: MultiProgress) -> Bars {
        let drawn = bars.clone();
        tell::above(Some(Box::new(move |text| drop(drawn.println(text)))));
        Bars { bars, state: Mutex::default() }
    }

    /// A line above the bars.
    fn say(&self, text: &str) {
        // When the terminal is gone there is nobody to tell.
        let _ = self.bars.println(tell::shown(text));
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        tell::above(None);
    }
}

impl StepListener for Bars {
    fn on(&self, event: StepEvent) {
        let mut state = lock(&self.state);
        match event {
            StepEvent::Planned(outlook) => self.say(&planned(&outlook)),
            StepEvent::FetchPlanned { bytes, .. } => {
                let bar = state.fetch.get_or_insert_with(|| self.bars.add(fetch_bar()));
                bar.inc_length(bytes);
            }
            StepEvent::FetchProgress { bytes } => {
                if let Some(bar) = &state.fetch {
                    bar.inc(bytes);
                }
            }
            StepEvent::Fetched { label } => {
                if let Some(bar) = &state.fetch {
                    bar.set_message(Foreign(label).to_string());
                    if bar.length().is_some_and(|length| bar.position() >= length) {
                        bar.finish_and_clear();
                    }
                }
            }
            StepEvent::StepCached { .. } => {}
            StepEvent::StepTaken { step, origin, .. } => self.say(&format!("{step}: {}", taken(&origin))),
            StepEvent::StepStarted { step, .. } => {
                let bar = self.bars.add(ProgressBar::new_spinner().with_message(step.clone()));
                bar.enable_steady_tick(Duration::from_millis(120));
                state.steps.push((step, bar));
            }
            StepEvent::StepIncremental { step } => {
                self.say(&format!("{step}: {INCREMENTAL}"));
            }
            StepEvent::StepLog { step, line } => {
                if let Some((_, bar)) = state.steps.iter().find(|(name, _)| *name == step) {
                    let line: String = Foreign(line).to_string().chars().take(80).collect();
                    bar.set_message(format!("{step}: {line}"));
                }
            }
            StepEvent::StepProgress { step, done, total } => {
                if let Some((_, bar)) = state.steps.iter().find(|(name, _)| *name == step) {
                    bar.set_message(format!("{step}: {} %", done * 100 / total.max(1)));
                }
            }
            StepEvent::StepFinished { step, millis } => {
                if let Some(at) = state.steps.iter().position(|(name, _)| *name == step) {
                    state.steps.remove(at).1.finish_and_clear();
                }
                self.say(&format!("{step}: done in {}", seconds(millis)));
            }
            StepEvent::Waiting(waiting) => self.say(&waited(&waiting)),
            StepEvent::Warning { message } => {
                self.say(&format!("warning: {message}"));
            }
        }
    }
}

/// What a build will do, before it begins.
fn planned(outlook: &Outlook) -> String {
    let Outlook { files, bytes, files_present, bytes_present, packages, packages_bytes, at_most } = *outlook;
    let size = |bytes| ByteSize(bytes).rounded();
    let most = if at_most { "at most " } else { "" };
    let mut text = format!("to download: {most}{}, {}", counted(files, "file"), size(bytes));
    if files_present > 0 {
        text += &format!(" ({files_present} more, {}, are in the store)", size(bytes_present));
    }
    if packages > 0 {
        text += &format!("; to unpack: {most}{}, {} compressed", counted(packages, "package"), size(packages_bytes));
    }
    text
}

/// Whose a result is that was not made here.
pub(super) fn taken(origin: &ResultOrigin) -> String {
    match origin {
        ResultOrigin::Signed { cache, signer, key } => {
            format!("taken from {}, signed by {} ({})", Foreign(cache), Foreign(signer), Foreign(key))
        }
        ResultOrigin::Below { store_below } => format!("taken from the store below at {}", Foreign(store_below)),
    }
}

/// For whom a download waits, and why.
pub(super) fn waited(waiting: &ServerWait) -> String {
    let ServerWait { host, seconds, reason } = waiting;
    format!("waiting {seconds} s for {}, which limits downloads ({})", Foreign(host), Foreign(reason))
}

fn fetch_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("fetch {bar:30} {bytes} of {total_bytes} {bytes_per_sec} {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn seconds(millis: u64) -> String {
    format!("{}.{} s", millis / 1000, millis % 1000 / 100)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic elsewhere is no reason to hide progress.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
