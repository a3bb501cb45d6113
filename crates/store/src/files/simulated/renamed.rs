//! Renames on the simulated disk, one call after the other.

use std::io;

use super::State;
use super::names::Operation;
use crate::files::parent;
use crate::files::rename::Steps;

pub(super) struct Renamed<'a> {
    pub(super) state: &'a mut State,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
}

impl Steps for Renamed<'_> {
    fn rename_exclusively(&mut self) -> io::Result<()> {
        self.state.rename(self.from, self.to, false)
    }

    fn rename_over(&mut self) -> io::Result<()> {
        self.state.rename(self.from, self.to, true)
    }

    fn link(&mut self) -> io::Result<()> {
        let node = self.state.node(self.from)?;
        self.state.change_names(Operation::Create { path: self.to.to_owned(), node: Some(node) })
    }

    fn are_one_file(&mut self) -> io::Result<bool> {
        Ok(self.state.node(self.from)? == self.state.node(self.to)?)
    }

    fn find_old(&mut self) -> io::Result<()> {
        self.state.node(self.from).map(drop)
    }

    fn remove_old(&mut self) -> io::Result<()> {
        self.state.change_names(Operation::Remove { path: self.from.to_owned() })
    }

    fn make_placeholder(&mut self) -> io::Result<()> {
        self.state.new_node(self.to).map(drop)
    }

    fn new_is_empty(&mut self) -> io::Result<bool> {
        Ok(self.state.contents[self.state.node(self.to)?].live.is_empty())
    }

    fn sync_old_folder(&mut self) -> io::Result<()> {
        self.state.sync_folder(parent(self.from))
    }

    fn sync_new_folder(&mut self) -> io::Result<()> {
        self.state.sync_folder(parent(self.to))
    }
}
