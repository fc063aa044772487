//! Servers that send kiln elsewhere, or next to nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kiln::world::download::{Downloader, Length, Refusal, Sink};
use kiln::world::{HttpRequest, RealWorld, Stated, World, WorldError};

use super::promptly;
use crate::suite::archive_support::Fault;
use crate::suite::failure_support::{Lab, RECIPE, archive, refused, text};

/// A server on loopback: what it answers to a path, and the paths it was asked for.
struct Web {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn start(answer: impl Fn(&str, u16) -> String + Send + Sync + 'static) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                log.lock().unwrap().push(path.clone());
                let _ = stream.write_all(answer(&path, port).as_bytes());
            }
        });
        Web { port, asked }
    }

    /// A server that sends whoever asks for anything but `/end` to this address.
    fn redirecting(to: impl Fn(u16) -> String + Send + Sync + 'static) -> Web {
        Web::start(move |path, port| match path {
            "/end" => "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nend".to_owned(),
            _ => format!(
                "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                to(port)
            ),
        })
    }
}

fn get(world: &RealWorld, url: &str, stated: Stated) -> Result<String, WorldError> {
    let mut body = String::new();
    world.get(&HttpRequest { url, from: 0, stated, authorization: None })?.body.read_to_string(&mut body).unwrap();
    Ok(body)
}

#[test]
fn redirects_within_a_kind_of_place_are_followed() {
    let end = Web::redirecting(|_| String::new()).port;
    let spellings: [fn(u16) -> String; 5] = [
        |port| format!("http://127.0.0.1:{port}/end"),
        |port| format!("http://localhost:{port}/end#fragment"),
        |port| format!("//127.0.0.1:{port}/end"),
        |_| "/end".to_owned(),
        |_| "end".to_owned(),
    ];
    for spelling in spellings {
        let server = Web::redirecting(move |own| spelling(if spelling(0).contains(":0") { end } else { own }));
        for stated in [Stated::User, Stated::Recipe] {
            let url = format!("http://127.0.0.1:{}/begin", server.port);
            assert_eq!(get(&RealWorld::default(), &url, stated).unwrap(), "end", "{}", spelling(end));
        }
    }
}

#[test]
fn redirects_to_another_kind_of_place_are_not() {
    for (to, words) in [
        ("http://169.254.169.254/latest/meta-data", "the local link"),
        ("http://[fe80::1]/x", "the local link"),
        ("http://10.0.0.1/x", "a private network"),
        ("http://192.168.0.1:1/x", "a private network"),
        ("http://[::ffff:10.0.0.1]/x", "a private network"),
        ("http://mirror.example@100.64.0.1/x", "a private network"),
        ("http://0.0.0.0/x", "not a fetchable address"),
        ("gopher://mirror.example/x", "only http and https"),
        ("file:///etc/passwd", "redirects to"),
        ("http://", "an invalid URL"),
    ] {
        let server = Web::redirecting(move |_| to.to_owned());
        let url = format!("http://127.0.0.1:{}/begin", server.port);
        let error = get(&RealWorld::default(), &url, Stated::User).unwrap_err();
        assert!(matches!(error, WorldError::Refused { .. }), "{to}: {error}");
        assert!(error.to_string().contains(words), "{to}: {error}");
    }
}

#[test]
fn redirects_have_an_end() {
    let server = Web::redirecting(|port| format!("http://127.0.0.1:{port}/again"));
    let error = get(&RealWorld::default(), &format!("http://127.0.0.1:{}/x", server.port), Stated::User).unwrap_err();
    assert!(error.to_string().contains("too many redirects (limit 10)"), "{error}");
    assert_eq!(server.asked.lock().unwrap().len(), 11);
}

/// 2130706433 is 127.0.0.1 to the resolver, and a name to whoever only reads it: as a name of a stranger's that leads here.
#[test]
fn a_name_in_a_recipe_that_leads_to_this_machine_is_not_asked() {
    let server = Web::redirecting(|_| "/end".to_owned());
    let url = format!("http://2130706433:{}/end", server.port);
    let world = RealWorld::default();
    let error = get(&world, &url, Stated::Recipe).unwrap_err();
    assert!(error.to_string().contains("2130706433 (127.0.0.1) is this machine"), "{error}");
    let metadata = get(&world, "http://169.254.169.254/latest", Stated::Recipe).unwrap_err();
    assert!(metadata.to_string().contains("the local link"), "{metadata}");
    assert!(server.asked.lock().unwrap().is_empty(), "it was asked");
    // The user's own word: a mirror, and then a recipe that names the mirror's host.
    assert_eq!(get(&world, &url, Stated::User).unwrap(), "end");
    assert!(get(&world, &url, Stated::Recipe).is_err(), "an open connection is no way around");
    world.trust(&mut ["2130706433".to_owned()].into_iter());
    assert_eq!(get(&world, &url, Stated::Recipe).unwrap(), "end");
}

struct Counted(u64);

impl Sink for Counted {
    type Error = std::convert::Infallible;

    fn have(&self) -> u64 {
        self.0
    }

    fn restart(&mut self) -> Result<(), Self::Error> {
        self.0 = 0;
        Ok(())
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), Self::Error> {
        self.0 += piece.len() as u64;
        Ok(())
    }
}

/// A body of single bytes, each after a while.
fn trickling() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n");
                while stream.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(30));
                }
            });
        }
    });
    url
}

#[test]
fn a_server_that_sends_next_to_nothing_is_given_up_and_can_be_called_off() {
    let (url, world, began) = (trickling(), RealWorld::default(), Instant::now());
    let request = HttpRequest { url: &url, from: 0, stated: Stated::User, authorization: None };
    let downloader = Downloader::new(&world, &|| false).patient_for(Duration::from_secs(2));
    let refusal = downloader.pour(&request, Length::AtMost(1 << 20), &mut Counted(0)).unwrap_err();
    let Refusal::Again(why) = &refusal else { panic!("{refusal:?}") };
    assert!(why.starts_with("sent only "), "{why}");
    let stop = || began.elapsed() > Duration::from_millis(2500);
    let refusal = Downloader::new(&world, &stop).pour(&request, Length::AtMost(1 << 20), &mut Counted(0)).unwrap_err();
    assert!(matches!(refusal, Refusal::Stopped), "{refusal:?}");
}

#[test]
fn a_server_that_is_quick_enough_may_take_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, world) = (format!("http://{}/x", listener.local_addr().unwrap()), RealWorld::default());
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\nConnection: close\r\n\r\n");
        (0..20).for_each(|_| {
            let _ = stream.write_all(&[0; 1000]);
            std::thread::sleep(Duration::from_millis(150));
        });
    });
    let request = HttpRequest { url: &url, from: 0, stated: Stated::User, authorization: None };
    let downloader = Downloader::new(&world, &|| false).patient_for(Duration::from_secs(2));
    let mut sink = Counted(0);
    downloader.pour(&request, Length::Exactly(20_000), &mut sink).unwrap();
    assert_eq!(sink.0, 20_000);
}

#[test]
fn locking_asks_again_as_building_does() {
    let lab = Lab::unlocked("network-again", archive(), |_| RECIPE.to_owned());
    lab.server.fault("/InRelease", Fault::Truncated(100));
    refused(&promptly(lab.kiln().args(["lock", "tiny.kiln"])), 4, &["InRelease", "broke off"]);
    let asked = lab.server.log().iter().filter(|line| line.contains("/InRelease")).count();
    assert_eq!(asked, 3, "{:?}", lab.server.log());
}

/// A recipe's address without a digest may be anything; the metadata service of a cloud is nothing to put into an image.
#[test]
fn a_recipe_does_not_fetch_what_only_this_machine_can_reach() {
    for (host, words) in [
        ("169.254.169.254", "169.254.169.254 is the local link"),
        ("2130706433", "2130706433 (127.0.0.1) is this machine"),
    ] {
        let line = format!("base = essential\n  file \"/etc/x\" {{ source = url \"http://{host}:9/latest/x\" }}\n}}");
        let lab = Lab::unlocked("network-recipe", archive(), |_| RECIPE.replace("base = essential }", &line));
        let mut command = lab.kiln();
        command.env("NO_PROXY", format!("127.0.0.1,{host}"));
        let output = promptly(command.args(["lock", "tiny.kiln"]));
        refused(&output, 4, &[words]);
        assert!(!lab.directory.join("tiny.lock").exists(), "{}", text(&output));
    }
}
