//! What can be shared, and what cannot.

use super::*;
use crate::world::memory::MemoryWorld;

fn read(text: &str) -> Result<(String, String, DirectoryAccess), ShareError> {
    let ShareRequest { name, directory, access } = text.parse()?;
    Ok((name, directory.display().to_string(), access))
}

#[test]
fn a_request_is_a_name_a_directory_and_perhaps_an_access() {
    let of = |directory: &str, access| ("a-1".to_owned(), directory.to_owned(), access);
    assert_eq!(read("a-1=x"), Ok(of("x", DirectoryAccess::Writable)));
    assert_eq!(read("a-1=/x y/=z:ro"), Ok(of("/x y/=z", DirectoryAccess::ReadOnly)));
    assert_eq!(read("a-1=x:ro:rw"), Ok(of("x:ro", DirectoryAccess::Writable)));
    for text in ["", "x", "/srv", "x=", "x=:ro"] {
        assert_eq!(read(text), Err(ShareError::Form), "{text:?}");
    }
    let long = "a".repeat(MAX_NAME_BYTES + 1);
    for name in ["", "..", ".", "a/b", "/etc", "a b", "a\nb", "1", "a,b", "a=b\u{7f}", "ä", "-a", &long] {
        assert!(matches!(read(&format!("{name}=x")), Err(ShareError::Name(_)) | Ok(_)), "{name:?}");
        let name = name.split('=').next().unwrap();
        assert_eq!(read(&format!("{name}=x")).is_ok(), is_name(name) && name.len() <= MAX_NAME_BYTES, "{name:?}");
    }
}

/// Directories for one test, and a world whose store is in them.
struct Ground(PathBuf, MemoryWorld);

impl Ground {
    fn new(name: &str) -> Ground {
        let base = std::env::temp_dir().join(format!("kiln-shares-{}-{name}", std::process::id()));
        for directory in ["store/cas", "code/deep", "home"] {
            fs::create_dir_all(&base.join(directory)).unwrap();
        }
        let base = base.canonicalize().unwrap();
        let mut world = MemoryWorld::default();
        world.variables.insert("KILN_STORE".to_owned(), base.join("store").display().to_string());
        Ground(base, world)
    }

    fn share(&self, words: &[&str]) -> Result<Vec<Share>, String> {
        let request = |text: &&str| text.replace("@", &self.0.display().to_string()).parse().unwrap();
        let requests: Vec<ShareRequest> = words.iter().map(request).collect();
        directories(&Session::silent(&self.1), &requests).map_err(|error| error.to_string())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = fs::remove_tree(&self.0);
    }
}

#[test]
fn a_directory_is_known_by_its_path_without_links() {
    let ground = Ground::new("links");
    std::os::unix::fs::symlink("code", ground.0.join("link")).unwrap();
    let shares = ground.share(&["a=@/link/deep/..", "b=@/code:ro"]).unwrap();
    assert_eq!(shares[0].directory, ground.0.join("code"));
    assert_eq!((shares[0].identity, shares[1].access), (shares[1].identity, DirectoryAccess::ReadOnly));
}

#[test]
fn what_is_no_directory_is_refused_by_name() {
    let ground = Ground::new("refused");
    fs::write_atomically(&ground.0.join("file"), b"").unwrap();
    let pipe = ground.0.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    std::os::unix::fs::symlink("nowhere", ground.0.join("dangling")).unwrap();
    for (text, words) in [
        ("a=@/missing", "No such file or directory"),
        ("a=@/dangling", "No such file or directory"),
        ("a=@/file:ro", "it is not a directory"),
        ("a=@/pipe", "it is not a directory"),
        ("a=/dev/null", "it is not a directory"),
    ] {
        let error = ground.share(&[text]).unwrap_err();
        assert!(error.starts_with("--share a: ") && error.contains(words), "{text}: {error}");
    }
    assert!(ground.share(&["a=@/code", "a=@/home"]).unwrap_err().contains("`a` is given more than once"));
    let many: Vec<String> = (0..=MAX_SHARES).map(|number| format!("a{number}=@/code")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(ground.share(&many).unwrap_err().contains("9 directories are given (limit 8)"));
    ground.share(&many[1..]).unwrap();
}

#[test]
fn a_guest_may_read_the_files_of_kiln_and_never_write_them() {
    let ground = Ground::new("own");
    std::os::unix::fs::symlink("store", ground.0.join("link")).unwrap();
    for directory in ["@", "@/store", "@/store/cas", "@/link", "/tmp", "/"] {
        let error = ground.share(&[&format!("a={directory}")]).unwrap_err();
        assert!(error.contains("the guest could write to ") && error.contains("`:ro`"), "{directory}: {error}");
        ground.share(&[&format!("a={directory}:ro")]).unwrap();
    }
    ground.share(&["a=@/code", "b=@/home"]).unwrap();
}
