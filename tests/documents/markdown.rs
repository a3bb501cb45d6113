//! What of a Markdown text can be checked: headings, links, code.

use std::collections::HashMap;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A document, taken apart.
pub(super) struct Document {
    /// Below the root of the project.
    pub(super) path: String,
    /// What links may name behind a `#`.
    pub(super) anchors: Vec<String>,
    /// Targets of links and pictures, each with its line.
    pub(super) links: Vec<(usize, String)>,
    /// Fenced code.
    pub(super) blocks: Vec<Block>,
    /// Code within a line, each with its line.
    pub(super) codes: Vec<(usize, String)>,
    /// The cells of every row of every table, as they are written.
    pub(super) rows: Vec<Row>,
}

/// Fenced code.
pub(super) struct Block {
    pub(super) line: usize,
    /// The heading above it.
    pub(super) section: String,
    /// The language.
    pub(super) info: String,
    /// The HTML comment right before it, without its marks.
    pub(super) comment: Option<String>,
    pub(super) text: String,
}

/// A row of a table, the heading left out.
pub(super) struct Row {
    pub(super) line: usize,
    /// The heading above it.
    pub(super) section: String,
    pub(super) cells: Vec<String>,
}

impl Document {
    pub(super) fn read(path: &str, text: &str) -> Self {
        let mut document = Self {
            path: path.to_owned(),
            anchors: Vec::new(),
            links: Vec::new(),
            blocks: Vec::new(),
            codes: Vec::new(),
            rows: Vec::new(),
        };
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        let (mut slugs, mut heading, mut section) = (Slugs::default(), None::<String>, String::new());
        let (mut comment, mut block) = (None, None::<Block>);
        let mut cells: Option<Vec<String>> = None;
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let at = line(range.start);
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    section = heading.take().unwrap_or_default();
                    document.anchors.push(slugs.next(&section));
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push((at, dest_url.into_string()));
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = if let CodeBlockKind::Fenced(info) = kind { info.into_string() } else { String::new() };
                    let (section, comment) = (section.clone(), comment.take());
                    block = Some(Block { line: at, section, info, comment, text: String::new() });
                }
                Event::End(TagEnd::CodeBlock) => document.blocks.extend(block.take()),
                Event::Start(Tag::TableRow) => cells = Some(Vec::new()),
                Event::Start(Tag::TableCell) => {
                    if let Some(cells) = &mut cells {
                        cells.push(text[range].trim_matches('|').trim().to_owned());
                    }
                }
                Event::End(TagEnd::TableRow) => {
                    let row = |cells| Row { line: at, section: section.clone(), cells };
                    document.rows.extend(cells.take().map(row));
                }
                Event::Text(part) => {
                    if let Some(block) = &mut block {
                        block.text.push_str(&part);
                    } else if let Some(heading) = &mut heading {
                        heading.push_str(&part);
                    }
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    document.codes.push((at, code.into_string()));
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    let inner = html.trim().strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->"));
                    comment = inner.map(|inner| inner.trim().to_owned());
                    let attributes = ["src=\"", "href=\""].into_iter().flat_map(|name| html.split(name).skip(1));
                    let targets = attributes.filter_map(|rest| rest.split('"').next());
                    document.links.extend(targets.map(|target| (at, target.to_owned())));
                }
                Event::Start(Tag::Paragraph) => comment = None,
                _ => {}
            }
        }
        document
    }

    /// Rows of the tables below this heading.
    pub(super) fn rows_of(&self, section: &str) -> Vec<&Row> {
        let rows: Vec<_> = self.rows.iter().filter(|row| row.section == section).collect();
        assert!(!rows.is_empty(), "{} has no table below {section:?}", self.path);
        rows
    }

    /// Where something stands, for people.
    pub(super) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// Names of headings as GitHub makes them.
#[derive(Default)]
struct Slugs(HashMap<String, usize>);

impl Slugs {
    fn next(&mut self, heading: &str) -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect();
        let before = self.0.entry(slug.clone()).or_default();
        *before += 1;
        if *before == 1 { slug } else { format!("{slug}-{}", *before - 1) }
    }
}

/// The code within a text, as of a cell.
pub(super) fn codes(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn headings_get_their_names_as_on_github() {
    let text = "# What *is* it?\n\n## `run/admin.sock`, twice\n\nx\n\nOnce more\n---\n\n## Once more\n";
    let document = Document::read("a.md", text);
    assert_eq!(document.anchors, ["what-is-it", "runadminsock-twice", "once-more", "once-more-1"]);
}

#[test]
fn links_pictures_and_code_are_found_with_their_lines() {
    let text =
        "[a](b.md#c)\n\n![p](p.svg) `code [no](link)`\n\n<img src=\"q.svg\" alt=\"\">\n\n```sh\n[no](link)\n```\n";
    let document = Document::read("a.md", text);
    let links: Vec<_> = document.links.iter().map(|(line, target)| (*line, target.as_str())).collect();
    assert_eq!(links, [(1, "b.md#c"), (3, "p.svg"), (5, "q.svg")]);
    assert_eq!(document.codes, [(3, "code [no](link)".to_owned())]);
    assert_eq!((document.blocks[0].line, document.blocks[0].info.as_str()), (7, "sh"));
    assert_eq!(document.blocks[0].text, "[no](link)\n");
}

#[test]
fn a_comment_belongs_to_the_block_right_after_it() {
    let text = "<!-- golden: hello -->\n```json\n{}\n```\n\n<!-- other -->\n\nText.\n\n```json\n[]\n```\n";
    let document = Document::read("a.md", text);
    let comments: Vec<_> = document.blocks.iter().map(|block| block.comment.as_deref()).collect();
    assert_eq!(comments, [Some("golden: hello"), None]);
}

#[test]
fn rows_know_their_section() {
    let document = Document::read("a.md", "## One\n\n| a | b |\n|---|---|\n| `x` | y \\| z |\n\n## Two\n");
    let row = document.rows_of("One")[0];
    assert_eq!((row.line, row.section.as_str()), (5, "One"));
    assert_eq!(row.cells, ["`x`", "y \\| z"]);
    assert_eq!(codes(&row.cells[0]), ["x"]);
}
