//! Every link leads somewhere.

use std::path::{Component, Path, PathBuf};

use super::{document, documents, none_of, root};

/// Where `target` leads from `document`, both below the root; `None`: out of the project.
fn resolve(document: &str, target: &str) -> Option<PathBuf> {
    let mut path = Path::new(document).parent().unwrap_or(Path::new("")).to_owned();
    for component in Path::new(target).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            _ => return None,
        }
    }
    Some(path)
}

#[test]
fn every_link_leads_to_a_file_and_its_heading() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for from in documents() {
        for (line, link) in &from.links {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (target, anchor) = link.split_once('#').map_or((link.as_str(), None), |(path, id)| (path, Some(id)));
            let path = if target.is_empty() { Some(PathBuf::from(&from.path)) } else { resolve(&from.path, target) };
            let Some(path) = path.filter(|path| root().join(path).exists()) else {
                wrong.push(format!("{}: there is no {target}", from.at(*line)));
                continue;
            };
            let is_document = path.extension().is_some_and(|ending| ending == "md");
            if let Some(anchor) = anchor.filter(|_| is_document)
                && !document(path.to_str().unwrap()).anchors.iter().any(|known| known == anchor)
            {
                wrong.push(format!("{}: {} has no heading #{anchor}", from.at(*line), path.display()));
            }
        }
    }
    none_of(&wrong);
    assert!(checked > 10, "{checked} links");
}

#[test]
fn a_link_is_read_from_its_document() {
    let resolved = |from, target| resolve(from, target).map(|path| path.display().to_string());
    assert_eq!(resolved("docs/A.md", "../README.md").as_deref(), Some("README.md"));
    assert_eq!(resolved("docs/A.md", "decisions/./1.md").as_deref(), Some("docs/decisions/1.md"));
    assert_eq!(resolved("README.md", "../other"), None);
    assert_eq!(resolved("README.md", "/etc/passwd"), None);
}
