use std::fmt;
use std::io;

/// Whether the storage can be worked with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Standing {
    /// It can.
    #[default]
    Ready,
    /// It can be read only.
    ReadOnly,
    /// At its path is another file system, or none, or one that does not answer. No file or folder is made meanwhile; open
    /// files stay what they are.
    Vanished {
        /// What was found instead, and what to do.
        why: String,
    },
}

impl Standing {
    /// Refuses to make something new on a storage that is not there.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotConnected`], while it is not.
    pub fn may_make(&self) -> io::Result<()> {
        match self {
            Self::Ready | Self::ReadOnly => Ok(()),
            Self::Vanished { .. } => Err(io::Error::new(io::ErrorKind::NotConnected, self.to_string())),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("the storage is there"),
            Self::ReadOnly => f.write_str("the storage is read-only; see to its disk, then mount it for writing again"),
            Self::Vanished { why } => write!(f, "the storage is not there: {why}"),
        }
    }
}
