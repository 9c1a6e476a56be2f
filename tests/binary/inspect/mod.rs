//! What a person sees of an inspector: its page in a real browser, `tidegate inspect`, and what `docs/inspect.md` has one type.

#![cfg(target_os = "linux")]

/// `tidegate inspect`.
mod command;
/// The page, in Chromium.
mod page;
/// What `docs/inspect.md` has its reader type.
mod typed;
