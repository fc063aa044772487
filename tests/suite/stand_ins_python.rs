//! The script that stands in for Python's `py_compile.py` while packages are configured, with a fake of that.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use super::live::{Scratch, judge};

const COMPILE: &str = include_str!("../../src/exec/debian/stand_ins/py_compile.py");

/// Writes beside each file which process has done it.
const OWN: &str = r#"'''Compiles.'''
import os, sys

def compile(file, doraise=False):
    with open(file) as source:
        text = source.read()
    if text == 'talk':
        print('a word about', os.path.basename(file), file=sys.stderr)
    if text == 'bad':
        raise SyntaxError('bad is ' + os.path.basename(file))
    with open(file + 'c', 'w') as result:
        result.write(str(os.getpid()))

def main():
    print('own', len(sys.argv))
    for file in sys.argv[1:]:
        try:
            compile(file, doraise=True)
        except (OSError, SyntaxError) as error:
            sys.exit(str(error))

if __name__ == '__main__':
    main()
"#;

struct Files {
    scratch: Scratch,
    files: Vec<PathBuf>,
}

impl Files {
    fn new(name: &str, count: usize) -> Files {
        let scratch = Scratch::new(name);
        for directory in ["own", "place/own", "files"] {
            fs::create_dir_all(scratch.path(directory)).unwrap();
        }
        let text = COMPILE.replace("/dev/kiln", scratch.path("place").to_str().unwrap());
        fs::write(scratch.path("place/py_compile.py"), text).unwrap();
        for place in ["own", "place/own"] {
            fs::write(scratch.path(place).join("py_compile.py"), OWN).unwrap();
        }
        let files: Vec<PathBuf> = (0..count).map(|number| scratch.path(&format!("files/{number}.py"))).collect();
        files.iter().for_each(|file| fs::write(file, "fine").unwrap());
        Files { scratch, files }
    }

    fn run(&self, place: &str, more: &[&str]) -> Output {
        for file in &self.files {
            let _ = fs::remove_file(file.with_extension("pyc"));
        }
        let mut command = Command::new("python3");
        command.args(["-E", "-S"]).arg(self.scratch.path(place).join("py_compile.py")).args(&self.files).args(more);
        command.output().unwrap()
    }

    /// How many processes have done something, if every file is done.
    fn processes(&self) -> usize {
        let of = |file: &PathBuf| fs::read_to_string(file.with_extension("pyc")).unwrap();
        self.files.iter().map(of).collect::<std::collections::BTreeSet<_>>().len()
    }
}

#[test]
fn many_python_files_are_compiled_by_two_processes() {
    if !judge("python3") {
        return;
    }
    let files = Files::new("stand-in-compile", 17);
    let output = files.run("place", &[]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    if std::thread::available_parallelism().unwrap().get() > 1 {
        assert_eq!((files.processes(), output.stdout), (2, Vec::new()));
    }
    let few = Files::new("stand-in-compile-few", 15);
    assert_eq!(few.run("place", &[]).stdout, b"own 16\n");
    assert_eq!(few.processes(), 1);
}

#[test]
fn python_files_with_errors_are_compiled_by_the_program_itself() {
    if !judge("python3") {
        return;
    }
    let files = Files::new("stand-in-compile-own", 20);
    let same = |what: &str, more: &[&str]| {
        let (quick, own) = (files.run("place", more), files.run("own", more));
        assert_eq!(quick, own, "{what}");
        assert!(quick.stdout.starts_with(b"own "), "{what}");
        quick
    };
    let put = |number: usize, text: &str| fs::write(&files.files[number], text).unwrap();
    put(3, "talk");
    put(8, "talk");
    let said = same("words", &[]);
    assert_eq!(said.stderr, b"a word about 3.py\na word about 8.py\n");
    put(5, "bad");
    put(8, "bad");
    let said = same("errors", &[]);
    assert_eq!((said.status.code(), &said.stderr[..]), (Some(1), &b"a word about 3.py\nbad is 5.py\n"[..]));
    for number in [3, 5, 8] {
        put(number, "fine");
    }
    same("a file twice", &[files.files[0].to_str().unwrap()]);
    same("a file that is not there", &["/nonexistent/x.py"]);
    same("an option", &["-q"]);
}

#[test]
fn as_a_module_it_is_the_text_itself() {
    if !judge("python3") {
        return;
    }
    let files = Files::new("stand-in-compile-module", 0);
    let names = |place: &str| {
        let code = "import sys; sys.path.insert(0, sys.argv[1]); import py_compile as m\n\
                    print(sorted(vars(m)), m.__doc__, m.__name__, m.compile.__module__)";
        Command::new("python3").args(["-B", "-c", code]).arg(files.scratch.path(place)).output().unwrap()
    };
    let own = names("own");
    assert!(own.status.success() && own.stdout.ends_with(b"Compiles. py_compile py_compile\n"), "{own:?}");
    assert_eq!(names("place"), own);
}
