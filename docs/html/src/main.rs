//! All pages as HTML, with their pictures: `cargo run` in this folder writes them to `target/html/`.
//!
//! A link that leads nowhere is an error: to a file that is not there, or to a heading that its page does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

const STYLE: &str = "body { max-width: 50em; margin: 2em auto; padding: 0 1em; font: 16px/1.5 sans-serif; color-scheme: light dark }
pre { overflow-x: auto; padding: .8em; border: 1px solid #8888; border-radius: 6px } code { font-size: .9em }
table { border-collapse: collapse } td, th { border: 1px solid #8888; padding: .3em .6em; vertical-align: top; text-align: left }
img { max-width: 100% }";

/// What a page is linked by.
type Anchors = BTreeSet<String>;

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let pages = pages(&root)?;
    let anchors: BTreeMap<&PathBuf, Anchors> = pages.iter().map(|(path, text)| (path, anchors(text))).collect();
    let mut broken = Vec::new();
    for (path, text) in &pages {
        let to = root.join("target/html").join(path).with_extension("html");
        fs::create_dir_all(to.parent().unwrap_or(&root))?;
        fs::write(to, page(&root, path, text, &anchors, &mut broken))?;
    }
    let pictures = root.join("target/html/docs/pictures");
    fs::create_dir_all(&pictures)?;
    for picture in fs::read_dir(root.join("docs/pictures"))? {
        let picture = picture?.path();
        if let Some(name) = picture.file_name().filter(|_| picture.extension().is_some_and(|it| it == "svg")) {
            fs::copy(&picture, pictures.join(name))?;
        }
    }
    broken.iter().for_each(|line| eprintln!("{line}"));
    println!("{} pages in target/html, {} broken links", pages.len(), broken.len());
    if broken.is_empty() { Ok(()) } else { Err(io::Error::other("some links lead nowhere")) }
}

/// The pages beside Cargo.toml and those in `docs/`: their paths from the root, and their texts.
fn pages(root: &Path) -> io::Result<BTreeMap<PathBuf, String>> {
    fn collect(root: &Path, folder: &Path, deep: bool, pages: &mut BTreeMap<PathBuf, String>) -> io::Result<()> {
        for entry in fs::read_dir(root.join(folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                if deep && entry.file_name() != "target" {
                    collect(root, &path, true, pages)?;
                }
            } else if path.extension().is_some_and(|it| it == "md") {
                pages.insert(path.clone(), fs::read_to_string(root.join(path))?);
            }
        }
        Ok(())
    }
    let mut pages = BTreeMap::new();
    collect(root, Path::new(""), false, &mut pages)?;
    collect(root, Path::new("docs"), true, &mut pages)?;
    Ok(pages)
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

/// The headings of a page as they are linked, each in its order.
fn slugs(text: &str) -> Vec<String> {
    let (mut slugs, mut heading): (Vec<String>, Option<String>) = (Vec::new(), None);
    for event in parser(text) {
        match (event, &mut heading) {
            (Event::Start(Tag::Heading { .. }), _) => heading = Some(String::new()),
            (Event::Text(text) | Event::Code(text), Some(so_far)) => so_far.push_str(&text),
            (Event::End(TagEnd::Heading(_)), _) => slugs.extend(heading.take().map(|it| slug(&it))),
            _ => {}
        }
    }
    slugs
}

/// As GitHub makes it.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|it| it.is_alphanumeric() || [' ', '-', '_'].contains(it));
    kept.flat_map(char::to_lowercase).map(|it| if it == ' ' { '-' } else { it }).collect()
}

fn anchors(text: &str) -> Anchors {
    let by_hand = text.split("<a id=\"").skip(1).filter_map(|rest| rest.split('"').next());
    slugs(text).into_iter().chain(by_hand.map(str::to_owned)).collect()
}

fn page(
    root: &Path,
    path: &Path,
    text: &str,
    anchors: &BTreeMap<&PathBuf, Anchors>,
    broken: &mut Vec<String>,
) -> String {
    let mut ids = slugs(text).into_iter();
    let events = parser(text).map(|event| match event {
        Event::Start(Tag::Heading { level, classes, attrs, .. }) => {
            Event::Start(Tag::Heading { level, id: ids.next().map(CowStr::from), classes, attrs })
        }
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            if !leads_somewhere(root, path, &dest_url, anchors) {
                broken.push(format!("{}: {dest_url}", path.display()));
            }
            let dest_url = CowStr::from(shown(&dest_url));
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        Event::Start(Tag::Image { ref dest_url, .. }) if !leads_somewhere(root, path, dest_url, anchors) => {
            broken.push(format!("{}: {dest_url}", path.display()));
            event
        }
        event => event,
    });
    let mut body = String::new();
    html::push_html(&mut body, events);
    let title = path.display();
    format!("<!doctype html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\n{STYLE}\n</style>\n{body}")
}

/// A link to a page is one to its HTML.
fn shown(link: &str) -> String {
    if is_outside(link) { link.to_owned() } else { link.replacen(".md", ".html", 1) }
}

fn is_outside(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

fn leads_somewhere(root: &Path, from: &Path, link: &str, anchors: &BTreeMap<&PathBuf, Anchors>) -> bool {
    if is_outside(link) {
        return true;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let to = match file {
        "" => from.to_owned(),
        _ => normal(&from.parent().unwrap_or(Path::new("")).join(file)),
    };
    let has = |anchor| anchors.get(&to).is_some_and(|of_page| of_page.contains(anchor));
    root.join(&to).exists() && anchor.is_none_or(has)
}

/// Without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::{Anchors, BTreeMap, Path, PathBuf, leads_somewhere, shown, slug};

    #[test]
    fn a_link_that_leads_nowhere_is_seen() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = PathBuf::from("src/main.rs");
        let anchors = BTreeMap::from([(&page, Anchors::from(["a-heading".to_owned()]))]);
        let leads = |link| leads_somewhere(root, &page, link, &anchors);
        assert!(["main.rs", "../Cargo.toml", "https://nowhere"].into_iter().all(leads));
        assert!(!["other.rs", "main.rs#another", "#another"].into_iter().any(leads));
        assert!(leads("#a-heading"));
        assert_eq!(slug("A turn: `x_y`, twice"), "a-turn-x_y-twice");
        assert_eq!(shown("turn.md#a"), "turn.html#a");
    }
}
