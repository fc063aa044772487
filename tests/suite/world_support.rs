//! A world of a test's or a bench's own over the real one: it says what differs, and this macro passes on the rest.

/// Methods of [`kiln::world::World`] that read files and the clock, passed on to the real world in the field `real`.
macro_rules! real_files_and_clock {
    () => {
        fn read(&self, path: &std::path::Path, limit: u64) -> Result<Vec<u8>, kiln::world::WorldError> {
            self.real.read(path, limit)
        }

        fn stream(&self, path: &std::path::Path, out: &mut dyn std::io::Write) -> Result<u64, kiln::world::WorldError> {
            self.real.stream(path, out)
        }

        fn exists(&self, path: &std::path::Path) -> bool {
            self.real.exists(path)
        }

        fn canonical(&self, path: &std::path::Path) -> Result<std::path::PathBuf, kiln::world::WorldError> {
            self.real.canonical(path)
        }

        fn directory(&self, path: &std::path::Path) -> Result<kiln::world::dir::Dir, kiln::world::WorldError> {
            self.real.directory(path)
        }

        fn list(&self, path: &std::path::Path) -> Result<Vec<std::path::PathBuf>, kiln::world::WorldError> {
            self.real.list(path)
        }

        fn now(&self) -> kiln::base::Timestamp {
            self.real.now()
        }

        fn trust(&self, hosts: &mut dyn Iterator<Item = String>) {
            self.real.trust(hosts);
        }
    };
}

pub(crate) use real_files_and_clock;
