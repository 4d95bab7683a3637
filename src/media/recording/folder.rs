//! The folder of recordings, and the files that are made in it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where files are made; in tests, a disk that is soon full.
pub(super) trait Place {
    type File: Read + Write + Seek;

    /// A new file; never one that is there already.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;

    /// A new file without a name, gone when it is closed.
    fn scratch(&mut self) -> io::Result<Self::File>;
}

/// A folder that only the service's user may look into.
pub(super) struct Folder {
    path: PathBuf,
    scratches: u32,
}

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Self { path: path.to_owned(), scratches: 0 })
    }

    fn make(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600).open(self.path.join(name))
    }
}

impl Place for Folder {
    type File = File;

    fn create(&mut self, name: &str) -> io::Result<File> {
        self.make(name)
    }

    fn scratch(&mut self) -> io::Result<File> {
        self.scratches += 1;
        let thread = std::thread::current().id();
        let name = format!(".{}-{thread:?}-{}", std::process::id(), self.scratches);
        let file = self.make(&name)?;
        std::fs::remove_file(self.path.join(&name))?;
        Ok(file)
    }
}

/// Tries `name.wav`, `name-2.wav` and so on: two recordings may begin within one second.
pub(super) fn create_free<P: Place>(place: &mut P, name: &str, end: &str) -> io::Result<P::File> {
    for number in 1..100 {
        let name = if number == 1 { format!("{name}{end}") } else { format!("{name}-{number}{end}") };
        match place.create(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made,
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A disk with room for so many bytes.
#[cfg(test)]
pub(super) mod small {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
    use std::rc::Rc;

    use super::Place;

    type Bytes = Rc<RefCell<Cursor<Vec<u8>>>>;

    #[derive(Clone)]
    pub struct Disk {
        pub files: Rc<RefCell<BTreeMap<String, Bytes>>>,
        room: Rc<Cell<usize>>,
    }

    pub struct File {
        bytes: Bytes,
        room: Rc<Cell<usize>>,
    }

    impl Disk {
        pub fn with_room_for(bytes: usize) -> Self {
            Self { files: Rc::default(), room: Rc::new(Cell::new(bytes)) }
        }

        /// What stands in a file now.
        pub fn read(&self, end: &str) -> Vec<u8> {
            let files = self.files.borrow();
            let (_, file) = files.iter().find(|(name, _)| name.ends_with(end)).expect("that file");
            file.borrow().get_ref().clone()
        }
    }

    impl Place for Disk {
        type File = File;

        fn create(&mut self, name: &str) -> io::Result<File> {
            let mut files = self.files.borrow_mut();
            if files.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let bytes = Bytes::default();
            files.insert(name.to_owned(), bytes.clone());
            Ok(File { bytes, room: self.room.clone() })
        }

        fn scratch(&mut self) -> io::Result<File> {
            Ok(File { bytes: Bytes::default(), room: self.room.clone() })
        }
    }

    impl Write for File {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut file = self.bytes.borrow_mut();
            let more = (file.position() as usize + bytes.len()).saturating_sub(file.get_ref().len());
            let left = self.room.get().checked_sub(more).ok_or(io::ErrorKind::StorageFull)?;
            self.room.set(left);
            file.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Read for File {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.bytes.borrow_mut().read(bytes)
        }
    }

    impl Seek for File {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.bytes.borrow_mut().seek(to)
        }
    }
}
