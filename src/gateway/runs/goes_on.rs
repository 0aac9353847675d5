//! What a run that begins once more, behind a compaction, is shown of its session's transcript:
//! its own turns and what was said to it, but not what others said meanwhile and took back.

use crate::sessions::transcript::Record;

/// The run that a record is of, as its answer or result.
fn run_of(record: &Record) -> Option<&str> {
    record.message.get("__openclaw")?.get("runId")?.as_str()
}

/// The run that a record is the message of.
fn said_by(record: &Record) -> Option<&str> {
    record.message.get("idempotencyKey")?.as_str()?.strip_suffix(":user")
}

/// Whether a run has turns of its model in its transcript.
pub(super) fn has_spoken(records: &[Record], run: &str) -> bool {
    records.iter().any(|record| run_of(record) == Some(run))
}

/// Whether a record stands behind the message of a run and belongs to another run that ended by
/// itself: its message or its notice. A message that is not among the records any more stood
/// before all of them.
pub(super) fn is_of_another(records: &[Record], record: &Record, run: &str) -> bool {
    let own = records.iter().position(|it| said_by(it) == Some(run));
    let at = records.iter().position(|it| it.id == record.id);
    if at <= own {
        return false;
    }
    let ended = |other: &str| records.iter().any(|it| run_of(it) == Some(other));
    match said_by(record) {
        Some(other) => other != run && ended(other),
        None => run_of(record).is_some_and(|other| other != run),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `u1` is the message of run 1, `a1` its answer or turn.
    fn record(name: &str) -> Record {
        let (role, run) = name.split_at(1);
        let message = match role {
            "u" => json!({"role": "user", "idempotencyKey": format!("{run}:user")}),
            _ => json!({
                "role": "assistant", "idempotencyKey": format!("{run}:assistant"),
                "__openclaw": {"runId": run},
            }),
        };
        Record { id: name.to_owned(), parent: None, message }
    }

    #[test]
    fn what_others_took_back_is_not_for_a_run_that_goes_on() {
        let table = [
            // Behind its first turn, and between its message and that turn.
            ("u0 a0 u1 a1 u2 a2", "u0 a0 u1 a1"),
            ("u0 a0 u1 u2 a2 a1", "u0 a0 u1 a1"),
            // The summary has its message.
            ("u2 a2 a1", "a1"),
            // What was said to it has no end of its own.
            ("u1 a1 u2", "u1 a1 u2"),
            ("u1 u2 a1", "u1 u2 a1"),
        ];
        for (all, want) in table {
            let records: Vec<Record> = all.split(' ').map(record).collect();
            assert!(has_spoken(&records, "1") && !has_spoken(&records, "9"));
            let kept = records.iter().filter(|record| !is_of_another(&records, record, "1"));
            let kept: Vec<&str> = kept.map(|record| record.id.as_str()).collect();
            assert_eq!(kept.join(" "), want, "{all}");
        }
    }
}
