//! A panic is a bug in kiln: its message is printed, and the process ends with exit code 101.
//!
//! Nothing is unwound: destructors would run over state that has just proved wrong, and other threads would go on with it.
//! A kiln that ends so leaves what a killed one leaves, which the next one clears away. It also spares every function the
//! tables and code of unwinding, a sixth of the program.

/// For every thread of this process, from now on.
pub fn ends_the_process() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::exit(101)
    }));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use crate::world::{RealWorld, World};

    const CHILD: &str = "KILN_TEST_PANICS";

    struct Destructor;

    impl Drop for Destructor {
        fn drop(&mut self) {
            println!("a destructor ran");
        }
    }

    #[test]
    fn a_panic_in_any_thread_ends_the_process_at_once() {
        if RealWorld::default().env(CHILD).is_some() {
            super::ends_the_process();
            let thread = std::thread::spawn(|| {
                let _value = Destructor;
                panic!("the reason");
            });
            let _ = thread.join();
            println!("another thread went on");
            return;
        }
        let mut child = Command::new(std::env::current_exe().unwrap());
        let name = "command::bug::tests::a_panic_in_any_thread_ends_the_process_at_once";
        let ended = child.args(["--exact", "--nocapture", name]).env(CHILD, "1").output().unwrap();
        let text = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(101), "{text}");
        assert!(text.contains("the reason") && !text.contains("destructor ran") && !text.contains("went on"), "{text}");
    }
}
