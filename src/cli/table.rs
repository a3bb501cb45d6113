//! Text output for people: columns, and words of others on a terminal.

use std::borrow::Cow;
use std::io::{self, Write as _};

use serde::Serialize;

/// Prints rows under a head, each column as wide as its widest cell.
pub(super) fn print<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in lines(head, rows) {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

fn lines<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let head = head.map(Cow::Borrowed);
    let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(|cell| plain(cell))).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[Cow<'_, str>; N]| {
        let cells = row.iter().zip(widths);
        let cells = cells.map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    [&head].into_iter().chain(&rows).map(line).collect()
}

/// What a device or another person wrote, with everything escaped that a terminal would obey instead of showing it: control
/// characters, and those that turn the direction of the text (Unicode UAX #9).
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let is_obeyed = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if is_obeyed(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

/// One word of a command that is shown to be copied into a shell.
pub(super) fn word(text: &str) -> Cow<'_, str> {
    match (plain(text), shlex::try_quote(text)) {
        // What has to be escaped to be shown is not the same word any more; nobody is to run that.
        (Cow::Borrowed(_), Ok(quoted)) => quoted,
        _ => Cow::Borrowed("…"),
    }
}

/// Prints a value as JSON, for programs.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["B4-1".to_owned(), "BC4".to_owned()], ["B4-10291".to_owned(), String::new()]];
        assert_eq!(lines(["SERIAL", "MODEL"], &rows), ["SERIAL    MODEL", "B4-1      BC4", "B4-10291"]);
    }

    #[test]
    fn nothing_in_a_cell_is_obeyed_by_the_terminal() {
        let rows = [["B4-1\u{1b}[2J\r\nB4-2".to_owned(), "\u{9b}31m\u{202e}x".to_owned()]];
        let shown = lines(["SERIAL", "MODEL"], &rows);
        assert_eq!(shown[1], "B4-1\\u{1b}[2J\\r\\nB4-2  \\u{9b}31m\\u{202e}x");
        assert_eq!(plain("Ägidius, 2 °C"), "Ägidius, 2 °C");
    }

    #[test]
    fn a_word_of_a_command_stays_one_word() {
        assert_eq!(word("B4-10291"), "B4-10291");
        assert_eq!(word("x; rm -rf ~"), "'x; rm -rf ~'");
        let odd = "a'b\"c $(id) `id` ü";
        assert_eq!(shlex::split(&word(odd)), Some(vec![odd.to_owned()]));
        assert_eq!(word("x\u{1b}[8m"), "…");
    }
}
