//! `docs/platforms.md` says which systems are compiled, and `.ci/targets` compiles them.

use std::collections::BTreeSet;

use crate::project::read;

/// A processor, a vendor and a system: `aarch64-apple-darwin`.
fn is_target(word: &str) -> bool {
    let processor = ["x86_64-", "aarch64-"].iter().any(|processor| word.starts_with(processor));
    processor && word.split('-').count() >= 3
}

/// The targets of the lines of a text, without what stands around them.
fn targets<'t>(lines: impl Iterator<Item = &'t str>) -> BTreeSet<&'t str> {
    lines.flat_map(|line| line.split([' ', '`', ','])).filter(|word| is_target(word)).collect()
}

#[test]
fn the_page_and_the_script_have_the_same_targets() {
    let (page, script) = (read("docs/platforms.md"), read(".ci/targets"));
    let mut of_page = targets(page.lines().filter(|line| line.starts_with("| `")));
    assert!(of_page.remove("x86_64-unknown-linux-gnu"), "the tests themselves run there");
    let of_script = targets(script.lines().filter(|line| line.starts_with("  ") && !line.trim().contains(' ')));
    assert_eq!(of_page, of_script);
    assert!(of_page.len() > 5, "{of_page:?}");
}
