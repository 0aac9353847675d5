//! Pure codecs: bytes in, values out. Nothing here sees a socket, a clock or a file.

pub mod json5;
