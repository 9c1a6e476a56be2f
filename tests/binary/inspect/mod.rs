//! What a person sees of an inspector: its page in a real browser, `tidegate inspect`, and what `docs/inspect.md` has one type.

/// `tidegate inspect`.
mod command;
/// The page, in Chromium.
#[cfg(target_os = "linux")]
mod page;
/// What `docs/inspect.md` has its reader type.
#[cfg(target_os = "linux")]
mod typed;
