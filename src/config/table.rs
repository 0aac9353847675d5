//! The table of configuration keys: one row a key, read by validation, reload planning,
//! redaction and schema.
