//! Draws diagnostics the way rustc does: file, line, caret, hint.
