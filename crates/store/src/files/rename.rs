//! The three ways to a new name, for every disk: which calls, in which order.

use std::io;

use super::RenameMode;

/// One file, its old name and its new one, and the calls of which a rename is made.
pub(super) trait Steps {
    /// Renames in one step; an existing new name is an error.
    fn rename_exclusively(&mut self) -> io::Result<()>;
    /// Renames in one step; what has the new name is gone.
    fn rename_over(&mut self) -> io::Result<()>;
    /// Gives the file the new name besides the old one; an existing new name is an error.
    fn link(&mut self) -> io::Result<()>;
    /// Whether both names are of one file.
    fn are_one_file(&mut self) -> io::Result<bool>;
    /// Fails if there is no file with the old name.
    fn find_old(&mut self) -> io::Result<()>;
    /// Takes the old name away.
    fn remove_old(&mut self) -> io::Result<()>;
    /// Makes an empty file with the new name; an existing one is an error.
    fn make_placeholder(&mut self) -> io::Result<()>;
    /// Whether the file with the new name is empty.
    fn new_is_empty(&mut self) -> io::Result<bool>;
    /// Makes the names in the old name's folder durable.
    fn sync_old_folder(&mut self) -> io::Result<()>;
    /// Makes the names in the new name's folder durable.
    fn sync_new_folder(&mut self) -> io::Result<()>;
}

/// Gives a file a name that nobody has.
pub(super) fn rename_new(mode: RenameMode, file: &mut impl Steps) -> io::Result<()> {
    match mode {
        RenameMode::Exclusive => file.rename_exclusively(),
        RenameMode::Link => link_and_unlink(file),
        RenameMode::Placeholder => rename_over_placeholder(file),
    }
}

fn link_and_unlink(file: &mut impl Steps) -> io::Result<()> {
    match file.link() {
        // An earlier try came this far, or a share did it twice.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && file.are_one_file()? => {}
        linked => linked?,
    }
    // A power cut could else keep the removal and forget the link.
    file.sync_new_folder()?;
    match file.remove_old() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    // A power cut could else bring the old name back, after the record that explains it is gone.
    file.sync_old_folder()
}

fn rename_over_placeholder(file: &mut impl Steps) -> io::Result<()> {
    // First of all: a file that is missing must not leave a placeholder.
    file.find_old()?;
    match file.make_placeholder() {
        // An earlier try came this far.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && file.new_is_empty()? => {}
        made => made?,
    }
    // After an error the placeholder stays: a share may have done the rename whose answer got lost.
    file.rename_over()
}
