//! What is printed, kept and published.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::machine::Machine;

/// What `--publish` writes to.
pub(crate) const DOCUMENT: &str = "docs/PERFORMANCE.md";

/// A table in Markdown.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    foot: String,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()], foot: String::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Says on what it was measured.
    pub(crate) fn foot(&mut self, sentence: &str) {
        sentence.clone_into(&mut self.foot);
    }

    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|{}\n", "---|".repeat(self.rows[0].len()));
        let rows: String = self.rows[1..].iter().map(|row| line(row)).collect();
        let foot = if self.foot.is_empty() { String::new() } else { format!("\n{}\n", wrapped(&self.foot)) };
        format!("{}{rule}{rows}{foot}", line(&self.rows[0]))
    }

    /// The same with columns that line up, for a terminal.
    pub(crate) fn text(&self) -> String {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  "));
            format!("{}\n", cells.collect::<String>().trim_end())
        };
        format!("{}{}\n", self.rows.iter().map(line).collect::<String>(), self.foot)
    }
}

/// Lines as long as those of the documents.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines.last().is_some_and(|line| line.len() + word.len() > 125);
        match lines.last_mut() {
            Some(line) if !full => line.extend([if line.is_empty() { "" } else { " " }, word]),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// Everything of a run, as it is kept in `target/bench`.
#[derive(Serialize)]
pub(crate) struct Kept<'a, T> {
    pub(crate) machine: &'a Machine,
    pub(crate) measured: T,
}

impl<T: Serialize> Kept<'_, T> {
    pub(crate) fn write(&self, folder: &Path, name: &str) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{name}.json"));
        fs::write(&path, serde_json::to_vec_pretty(self)?)?;
        println!("kept in {}", path.display());
        Ok(())
    }
}

/// Puts the table into the document, between the comments that name the benchmark.
pub(crate) fn publish(root: &Path, name: &str, table: &Table) -> anyhow::Result<()> {
    let path = root.join(DOCUMENT);
    let document = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let published = put(&document, name, &table.markdown());
    fs::write(&path, published.with_context(|| format!("{DOCUMENT} has no place for {name}"))?)?;
    println!("published in {DOCUMENT}");
    Ok(())
}

fn put(document: &str, name: &str, table: &str) -> Option<String> {
    let (before, rest) = document.split_once(&format!("<!-- bench: {name} -->\n"))?;
    let (_, after) = rest.split_once("<!-- end -->")?;
    Some(format!("{before}<!-- bench: {name} -->\n{table}<!-- end -->{after}"))
}
