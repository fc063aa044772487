//! A lock for tests, and what no lock may say.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

pub(super) fn example() -> Lock {
    let file = LockedFile { size: 42, sha256: Digest::of(b"x") };
    let package = |name: &str| LockedPackage {
        name: name.to_owned(),
        architecture: "amd64".to_owned(),
        version: "1:2.3-4~deb13u1".to_owned(),
        archive: ArchiveRef::current("trixie"),
        path: format!("pool/main/{name}.deb"),
        file,
        why: Why::Requested,
    };
    let archive = LockedArchive {
        suite: "trixie".to_owned(),
        components: vec!["main".to_owned()],
        architecture: Arch::Amd64,
        repository: "debian".to_owned(),
        snapshot: Timestamp(1_795_227_046),
        inrelease: Digest::of(b"release"),
        signed_by: vec!["0123456789ABCDEF0123456789ABCDEF01234567".to_owned()],
        date: Timestamp(1_789_199_741),
        valid_until: None,
        indexes: BTreeMap::from([("main/binary-amd64/Packages.xz".to_owned(), file)]),
    };
    let files = BTreeMap::from([("a \"quoted\".kiln".to_owned(), Digest::of(b"recipe"))]);
    let params = BTreeMap::from([("size".to_owned(), "1GiB".to_owned())]);
    Lock {
        local: BTreeSet::from(["mine".to_owned()]),
        output_version: OUTPUT,
        recipe: LockedRecipe { name: "a".to_owned(), digest: recipe_digest(&files, &params), files, params },
        epoch: Timestamp(1_789_199_741),
        seed: Digest::of(b"seed"),
        archives: BTreeMap::from([(ArchiveRef::current("trixie"), archive)]),
        sets: BTreeMap::from([("image".to_owned(), vec![package("zlib1g"), package("bash")])]),
        layers: BTreeMap::from([(
            "image".to_owned(),
            vec![LockedLayer { packages: 1, epoch: Timestamp(1_789_000_000) }],
        )]),
        sources: BTreeMap::from([(
            "linux".to_owned(),
            LockedSource {
                files: BTreeMap::from([(
                    "linux.tar.xz".to_owned(),
                    LockedSourceFile { place: SourcePlace::Url("https://mirror.example/l".to_owned()), file },
                )]),
            },
        )]),
        kernels: BTreeMap::from([("k".to_owned(), LockedKernel { config: Some(file.sha256), release: None })]),
        images: BTreeMap::from([(
            "image".to_owned(),
            LockedImage { open: true, users: BTreeMap::from([("root".to_owned(), 0)]), groups: BTreeMap::new() },
        )]),
        machines: BTreeMap::from([(
            "m".to_owned(),
            LockedMachine {
                qemu: "11.1.3".to_owned(),
                qemu_output: Some("qemu from own".to_owned()),
                machine_type: "pc-q35-11.1".to_owned(),
                argv: vec!["-m".to_owned(), "1".to_owned()],
                asked: vec!["-device cxl-type3: addr, sn".to_owned()],
            },
        )]),
        steps: BTreeMap::from([("root image".to_owned(), Digest::of(b"step"))]),
        outputs: BTreeMap::from([("m/disk.qcow2".to_owned(), LockedOutput { file })]),
    }
}

/// One change to a good lock, and words that the refusal must hold.
const REFUSED: [(&str, &str, &str); 20] = [
    ("{ packages = 1,", "{ packages = 2,", "layers have not as many packages"),
    ("{ packages = 1,", "{ packages = 0,", "or one has none"),
    ("version = 1", "version = 2", "lock has format 2"),
    ("output = 1", "output = 9", "output version 9"),
    ("epoch = ", "epoch = 3 #", "line 4"),
    ("[recipe]", "[recipe]\nflavour = 1", "flavour"),
    ("archive = \"trixie\"", "archive = \"sid\"", "`sid`, which is not among the archives"),
    ("pool/main/bash.deb", "pool/../../bash.deb", "not a path within a repository"),
    ("\"zlib1g:amd64\",\n", "", "never configured"),
    ("\"zlib1g:amd64\",\n", "\"bash:amd64\",\n", "configured twice"),
    ("name = \"zlib1g\"", "name = \"bash\"", "duplicate package `bash:amd64`"),
    ("\"root\" = 0", "\"root\" = 65535", "(limit 65534)"),
    ("name = \"zlib1g\"", "name = \"../x\"", "not a package name"),
    ("\"linux.tar.xz\" =", "\"../linux.tar.xz\" =", "not a plain file name"),
    ("archive = \"trixie\"", "archive = \"trixie@now\"", "nor NAME@TIMESTAMP"),
    ("why = \"requested\"", "why = \"because\"", "`because` is not a reason"),
    ("why = \"requested\"", "why = \"dependency of dash\"", "as dependency of dash, which is not in the set"),
    ("https://mirror.example/l", "sid:pool/l", "`sid`, which is not among the archives"),
    ("https://mirror.example/l", "trixie:pool/../l", "neither a URL nor ARCHIVE:PATH"),
    ("https://mirror.example/l", "/etc/passwd", "neither a URL nor ARCHIVE:PATH"),
];

#[test]
fn what_no_lock_may_say_is_refused_with_its_place() {
    let good = write(&example());
    for (from, to, words) in REFUSED {
        assert!(good.contains(from), "{from}");
        let error = read(&good.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(words), "{from} -> {to}: {error}");
    }
}

#[test]
fn of_two_mistakes_in_a_set_the_first_is_told() {
    let mut lock = example();
    let packages = lock.sets.get_mut("image").unwrap();
    let bash = packages[1].clone();
    packages.extend(["aa", "aa-b"].map(|name| LockedPackage { name: name.to_owned(), ..bash.clone() }));
    let good = write(&lock);
    let told = |changes: [(&str, &str); 2]| {
        let changed = changes.into_iter().fold(good.clone(), |text, (from, to)| text.replacen(from, to, 1));
        read(&changed).unwrap_err().to_string()
    };
    let name = told([("name = \"aa\"", "name = \"../x\""), ("name = \"zlib1g\"", "name = \"bash\"")]);
    assert!(name.contains("`../x` is not a package name"), "{name}");
    let doubled = told([("name = \"aa-b\"", "name = \"aa\""), ("name = \"bash\"", "name = \"../x\"")]);
    assert!(doubled.contains("duplicate package `aa:amd64`"), "{doubled}");
    let unused = told([("  \"aa:amd64\",\n", ""), ("  \"aa-b:amd64\",\n", "")]);
    assert!(unused.contains("`aa-b:amd64` is never configured"), "{unused}");
}

#[test]
fn the_checksum_is_that_of_the_other_lines_and_a_lock_may_lack_it() {
    let text = write(&example());
    let others: String = text.split_inclusive('\n').filter(|line| !line.starts_with("checksum = ")).collect();
    assert!(text.contains(&format!("\nchecksum = \"{}\"\n", Digest::of(others.as_bytes()).hex())), "{text}");
    assert_eq!(read(&others).unwrap(), example());
    // The order of lines and blanks between them are no facts.
    assert_eq!(read(&text.replace(" = ", "   =   ")).unwrap(), example());
    let changed = text.replacen("why = \"requested\"", "why = \"required\"", 1);
    assert!(matches!(read(&changed), Err(ReadError::Changed)));
    assert_eq!(read_changed(&changed).unwrap().sets["image"].len(), 2);
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_is_refused(text in "\\PC{0,400}") {
        assert!(read(&text).is_err());
    }

    #[test]
    fn a_lock_with_any_line_damaged_is_refused_or_says_what_can_be_written(at: proptest::sample::Index, noise in "[ -~]{0,40}") {
        let text = write(&example());
        let mut lines: Vec<&str> = text.lines().collect();
        let at = at.index(lines.len());
        let same = lines[at] == noise;
        lines[at] = &noise;
        let damaged = lines.join("\n");
        // A line that says nothing is no damage where nothing stood.
        if let Ok(lock) = read(&damaged) {
            assert!(same || lock == example(), "{noise:?} in line {at}");
        }
        // Without its checksum, as after a merge by hand.
        if let Ok(lock) = read_changed(&damaged) {
            assert_eq!(read(&write(&lock)).unwrap(), lock);
        }
    }
}
