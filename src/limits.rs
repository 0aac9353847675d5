//! Every bound of the house with its reason. A limit is named here, enforced where the bytes
//! flow, and exceeded by a test. Sizes are bytes, times milliseconds, unless the name says else.

/// The machine's own addresses, asked for in mode `trusted-proxy`, are read anew after this:
/// they change with networks, and a request must not cost a read of files each.
pub const INTERFACES_MS: u64 = 5_000;
/// What a log line shows of a user's name: somebody else's header.
pub const LOG_USER: usize = 160;

/// Input of a closing socket is discarded this long, so that the peer reads our last bytes
/// instead of a reset.
pub const LINGER_MS: u64 = 1_000;
/// While a peer still takes what is owed to a closing connection, however slowly, that second
/// begins anew; but not beyond this.
pub const LINGER_MAX_MS: u64 = 30_000;
/// Bytes read from one connection in one turn; the rest waits for the next turn, so that one
/// busy peer does not starve the others.
pub const READ_BUDGET: usize = 256 * 1024;
/// One read(2); shared by all connections.
pub const READ_CHUNK: usize = 64 * 1024;
/// Connections that wait to be accepted, as far as the system lets them (`somaxconn`); further
/// ones come again a second later.
pub const ACCEPT_QUEUE: i32 = 4_096;
/// Connections accepted in one turn.
pub const ACCEPTS_PER_TURN: usize = 64;
/// Pause of the listener after accept() ran out of descriptors.
pub const ACCEPT_BACKOFF_MS: u64 = 100;
/// Open connections in all, both directions; beyond it the newest is refused with 503.
pub const CONNECTIONS: usize = 16_384;
/// Time for the TLS handshake of a client, from accept to its end, whatever it sends meanwhile;
/// then the connection is cut. Slow phones need two or three seconds.
pub const TLS_HANDSHAKE_MS: u64 = 10_000;
/// Bytes of records that one TLS session holds for a slow reader, beside what is queued in the
/// clear: two records, so that one is on its way while the next is sealed.
pub const TLS_BUFFER: usize = 32 * 1024;
/// Reads from one TLS socket that brought no byte for us, before others have their turn.
pub const TLS_EMPTY_READS: usize = 16;
/// TLS sessions that clients may resume; older ones shake hands in full.
pub const TLS_SESSIONS: usize = 256;
/// A PEM file of `gateway.tls`: a bundle of all public authorities has 220 kB.
pub const TLS_FILE: usize = 512 * 1024;
/// Certificates that are sent behind ours: longer chains are misconfigured.
pub const TLS_CHAIN: usize = 8;
/// How often the files of `gateway.tls` are looked at for a change.
pub const TLS_LOOK_MS: u64 = 2_000;

/// Connections in all that have not proved who they are; the oldest makes room for the next, so
/// that whoever answers at once gets in.
pub const STRANGERS: usize = 4_096;
/// Such connections of one address (IPv4, or the /64 of IPv6); the oldest of them makes room. All
/// programs of this machine are one address, a proxy's clients too.
pub const STRANGERS_PER_PEER: usize = 1_024;
/// Input held for all of them together; beyond it the oldest go.
pub const STRANGERS_BYTES: usize = 16 * 1024 * 1024;
/// Answers queued for one of them; more requests wait until it has read.
pub const STRANGER_OUT: usize = 16 * 1024;
/// How long one may be idle between two requests.
pub const STRANGER_IDLE_MS: u64 = 15_000;
/// How many go at once when the system has no descriptor for the next connection.
pub const STRANGERS_DROPPED: usize = 64;

/// Head of an HTTP request, request line and headers (the reference refuses 17,000 bytes).
pub const HTTP_HEAD: usize = 16 * 1024;
/// Header lines in one head.
pub const HTTP_HEADERS: usize = 100;
/// Request target; longer is 414.
pub const HTTP_TARGET: usize = 8 * 1024;
/// Kept of the path of a refused request: enough to tell whose shape of error it gets.
pub const REFUSED_PATH: usize = 64;
/// Time for a complete head from the first byte; then 408.
pub const HTTP_HEAD_MS: u64 = 15_000;
/// Time for a complete body; then 408.
pub const HTTP_BODY_MS: u64 = 120_000;
/// A client that takes nothing of the stream it asked for is cut off after this long.
pub const HTTP_STALL_MS: u64 = 120_000;
/// An idle keep-alive connection is closed after this long.
pub const HTTP_IDLE_MS: u64 = 75_000;
/// Body of a chat completion or response request (reference: 20 MB).
pub const BODY_OPENAI: usize = 20 * 1024 * 1024;
/// Body of a hook's request (reference: 256 KiB).
pub const BODY_HOOK: usize = 256 * 1024;
/// Body of `POST /tools/invoke` (reference: 2 MB).
pub const BODY_TOOLS: usize = 2 * 1024 * 1024;
/// Body of `POST /v1/embeddings`: some thousand paragraphs.
pub const BODY_EMBEDDINGS: usize = 8 * 1024 * 1024;
/// Inputs of one embeddings request (OpenAI's own bound).
pub const EMBED_INPUTS: usize = 2_048;
/// Inputs asked for at once: more is slow to answer and lost as a whole.
pub const EMBED_BATCH: usize = 128;
/// Bytes of inputs asked for at once; a longer one goes alone.
pub const EMBED_BATCH_BYTES: usize = 512 * 1024;
/// `dimensions` that a client may ask for.
pub const EMBED_DIMENSIONS: u64 = 65_536;
/// Numbers of one embeddings answer: 8 MiB, and four times that as JSON.
pub const EMBED_FLOATS: usize = 2 * 1024 * 1024;
/// Bytes of a provider's answer to one batch.
pub const EMBED_ANSWER: usize = 16 * 1024 * 1024;
/// Time for one batch.
pub const EMBED_MS: u64 = 60_000;
/// Actions of one hook request by `forEach` (reference: 200).
pub const HOOK_ITEMS: usize = 200;
/// Characters of a hook's idempotency key; a longer one is none (reference: 256).
pub const HOOK_KEY: usize = 256;
/// Characters of a hook's label.
pub const HOOK_NAME: usize = 64;
/// Bytes that one template of a mapping makes.
pub const HOOK_TEXT: usize = 256 * 1024;
/// Wrong hook tokens of one address within [`HOOK_FAILURES_MS`]; then 429 (reference: 20).
pub const HOOK_FAILURES: u32 = 20;
/// See above (reference: 60 s).
pub const HOOK_FAILURES_MS: u64 = 60_000;
/// Addresses whose wrong credentials are counted; while all of them are in use, further ones
/// share [`LIMITER_CROWD`].
pub const LIMITER_KEYS: usize = 4_096;
/// Guesses that all addresses without a place in that table have together, at once; each comes
/// back after [`LIMITER_CROWD_MS`].
pub const LIMITER_CROWD: u32 = 32;
/// See above: a guess a second, from however many machines.
pub const LIMITER_CROWD_MS: u64 = 1_000;
/// Events that wait for the next run of a session; beyond it the oldest is dropped
/// (reference: 20).
pub const SYSTEM_EVENTS: usize = 20;
/// Bytes of one of them; the rest is cut.
pub const SYSTEM_EVENT_BYTES: usize = 16 * 1024;
/// Sessions with such events; beyond it new ones are refused.
pub const SYSTEM_EVENT_SESSIONS: usize = 1_024;
/// Shortest cadence of heartbeats; a shorter one counts as this.
pub const HEARTBEAT_EVERY_MS: u64 = 1_000;
/// A beat that events wait for looks so often whether its agent is free (reference: 1 s).
pub const HEARTBEAT_RETRY_MS: u64 = 1_000;
/// Characters of an answer in event `heartbeat` (reference: 200).
pub const HEARTBEAT_PREVIEW: usize = 200;
/// Scheduled jobs; beyond it new ones are refused. Each is looked at when time is due.
pub const CRON_JOBS: usize = 1_000;
/// One job as JSON; a larger one is refused. Its message goes to a model with every run.
pub const CRON_JOB_BYTES: usize = 64 * 1024;
/// `cron/jobs.json`; a larger file is not read: [`CRON_JOBS`] times an eighth of
/// [`CRON_JOB_BYTES`], and room.
pub const CRON_STORE_BYTES: u64 = 16 << 20;
/// Shortest interval; a shorter one counts as this, so that no job turns in a circle.
pub const CRON_EVERY_MS: u64 = 1_000;
/// Window in which full hours are spread (reference: up to 5 minutes).
pub const CRON_STAGGER_MS: u64 = 300_000;
/// Widest window that is asked for: a day.
pub const CRON_STAGGER_MAX_MS: u64 = 86_400_000;
/// The scheduler looks at the wall clock at least so often: it may have been set.
pub const CRON_LOOK_MS: u64 = 60_000;
/// What waits for a free place among the runs; beyond it `cron.run` is refused.
pub const CRON_QUEUE: usize = 100;
/// Pause of a recurring job after so many errors in a row (reference: 30 s, 1, 5, 15, 60 min).
pub const CRON_BACKOFF_MS: [u64; 5] = [30_000, 60_000, 300_000, 900_000, 3_600_000];
/// Tries of a single job after errors that pass (reference: 3).
pub const CRON_RETRIES: u64 = 3;
/// After a start, missed runs come one after the other, so far apart.
pub const CRON_CATCH_UP_MS: u64 = 2_000;
/// A scheduled run without a time of its own (reference: 60 minutes).
pub const CRON_TURN_MS: u64 = 3_600_000;
/// Of an answer or an error, what the run log and events keep.
pub const CRON_SUMMARY: usize = 2_000;
/// A run log (reference: 2 000 000 bytes, and 2 000 lines are kept of it).
pub const CRON_LOG_BYTES: u64 = 2_000_000;
/// See [`CRON_LOG_BYTES`].
pub const CRON_LOG_LINES: usize = 2_000;
/// Of all logs together, what `cron.runs {scope: "all"}` reads, the newest of each first.
pub const CRON_LOGS_BYTES: usize = 8 << 20;
/// Logs of jobs that are no more go after this long (reference: 7 days).
pub const CRON_LOG_KEPT_MS: u64 = 7 * 86_400_000;
/// Name of a time zone; the longest real one has 32 characters.
pub const CRON_ZONE_NAME: usize = 64;
/// File of a time zone; the largest real one has 4 KiB.
pub const CRON_ZONE_FILE: usize = 64 * 1024;
/// Zones kept in memory; beyond it they are read anew.
pub const CRON_ZONES: usize = 64;
/// One image of an HTTP request, decoded, unless configured else (reference: 10 MB).
pub const HTTP_IMAGE: usize = 10 * 1024 * 1024;
/// One file of an HTTP request, decoded, unless configured else (reference: 5 MB).
pub const HTTP_FILE: usize = 5 * 1024 * 1024;
/// Characters of such a file that reach the model (reference: 60,000).
pub const HTTP_FILE_CHARS: usize = 60_000;
/// Response ids that `previous_response_id` may name (reference: 500).
pub const RESPONSES_REMEMBERED: usize = 500;
/// How long one may be named (reference: 30 min).
pub const RESPONSES_REMEMBERED_MS: u64 = 30 * 60 * 1000;
/// A stream that said nothing for this long says `: ping`, so that proxies leave it alone.
pub const STREAM_PING_MS: u64 = 15_000;
/// Body of any other request.
pub const BODY_OTHER: usize = 256 * 1024;
/// Chunk-size line with its extension, and each trailer line.
pub const HTTP_CHUNK_LINE: usize = 1024;
/// Trailer section of a chunked body.
pub const HTTP_TRAILERS: usize = 8 * 1024;
/// Pipelined request bytes kept while a response is under way; then we stop reading.
pub const HTTP_PIPELINE: usize = 64 * 1024;

/// A frame before `connect` succeeded.
pub const WS_FRAME_PREAUTH: usize = 64 * 1024;
/// A message afterwards: `policy.maxPayload`.
pub const WS_MESSAGE: usize = 26_214_400;
/// `policy.maxBufferedBytes`.
pub const WS_BUFFERED: usize = 52_428_800;
/// Above this many queued bytes a connection loses events (the gap shows in `seq`).
pub const WS_DROP_EVENTS: usize = 4 * 1024 * 1024;
/// Above this many queued bytes a connection is closed with 1008 `slow consumer`.
pub const WS_SLOW_CONSUMER: usize = 16 * 1024 * 1024;
/// Attachments of one message, decoded: what a frame carries as base64 beside 256 KiB of other
/// things.
pub const ATTACHMENTS: usize = (WS_MESSAGE - 256 * 1024) / 4 * 3;
/// One image among them, decoded.
pub const IMAGE: usize = 6 * 1024 * 1024;
/// Time from the upgrade to a valid `connect`.
pub const WS_HANDSHAKE_MS: u64 = 15_000;
/// Time between two `tick` events.
pub const TICK_MS: u64 = 30_000;

/// The document of a page from `gateway.controlUi.root`: it is held as a whole.
pub const PAGE_INDEX: usize = 512 * 1024;
/// A file of such a page is read and sent by slices of this many bytes.
pub const PAGE_SLICE: usize = 32 * 1024;

/// Queued bytes above which we stop reading from whoever feeds a stream.
pub const STREAM_HIGH: usize = 256 * 1024;
/// One line of a provider's event stream.
pub const SSE_LINE: usize = 1024 * 1024;
/// One event of a provider's stream, all its data lines; also an answer that is no stream.
pub const SSE_EVENT: usize = 4 * 1024 * 1024;
/// Bytes the core and the driver hold for all peers together; beyond it new bodies are refused
/// with 503 and new frames close with 1013.
pub const MEMORY_GLOBAL: usize = 192 * 1024 * 1024;

/// Nesting of a JSON or JSON5 document from outside.
pub const JSON_DEPTH: usize = 64;
/// How often the configuration's files are looked at: an edit is in force after this and
/// `gateway.reload.debounceMs`, and an idle gateway wakes no oftener.
pub const CONFIG_POLL_MS: u64 = 1_000;
/// The shortest pause between two looks while they change.
pub const CONFIG_SETTLE_MS: u64 = 50;
/// Files that are watched: a look is as many system calls.
pub const CONFIG_FILES: usize = 256;
/// Writes of the configuration by one caller and method in [`CONFIG_WRITES_MS`] (reference: 30).
pub const CONFIG_WRITES: u32 = 30;
/// The window of [`CONFIG_WRITES`].
pub const CONFIG_WRITES_MS: u64 = 60_000;
/// Callers whose writes are counted; only admins get so far.
pub const CONFIG_WRITERS: usize = 256;
/// Copies of earlier configurations beside the file (reference: 5).
pub const CONFIG_BACKUPS: usize = 5;
/// Copies of texts that were not written.
pub const CONFIG_REJECTED: usize = 5;
/// Damaged files that repairs replaced (reference: 32).
pub const CONFIG_CLOBBERED: usize = 32;
/// A file of so many bytes that shrinks to less than half by one `config.set` was probably cut
/// off.
pub const CONFIG_CLOBBER: usize = 512;
/// Changed keys that the log names after one edit.
pub const CONFIG_CHANGES_LOGGED: usize = 20;
/// Size of the configuration file, includes counted together.
pub const CONFIG_BYTES: usize = 4 * 1024 * 1024;
/// Size of the `.env` file.
pub const DOTENV_BYTES: usize = 256 * 1024;
/// `$include` nesting, as in the reference.
pub const CONFIG_INCLUDE_DEPTH: usize = 10;

/// A name look-up in flight at once; later ones wait in the resolver's queue.
pub const RESOLVER_QUEUE: usize = 32;
/// How long a resolved name is kept.
pub const RESOLVED_MS: u64 = 30_000;
/// How long a failed look-up is kept.
pub const UNRESOLVED_MS: u64 = 5_000;
/// Names kept in the resolver's cache.
pub const RESOLVER_CACHE: usize = 256;
/// Start of the next address while the former has not answered (RFC 8305 section 8).
pub const HAPPY_EYEBALLS_MS: u64 = 250;
/// Child processes at once.
pub const CHILDREN: usize = 32;
/// Input queued for a child that does not read it.
pub const CHILD_INPUT: usize = 256 * 1024;

/// File of a `secrets.providers` entry, as documented, and the most its `maxBytes` may say.
pub const SECRET_FILE: usize = 1024 * 1024;
/// See [`SECRET_FILE`].
pub const SECRET_FILE_MAX: usize = 4 * 1024 * 1024;
/// Time of a secrets program, as documented, and the most its `timeoutMs` may say.
pub const SECRET_EXEC_MS: u64 = 5_000;
/// See [`SECRET_EXEC_MS`].
pub const SECRET_EXEC_MS_MAX: u64 = 120_000;
/// Output of a secrets program: many secrets are far smaller. The most its `maxOutputBytes` may
/// say is the reference's own default.
pub const SECRET_OUTPUT: usize = 64 * 1024;
/// See [`SECRET_OUTPUT`].
pub const SECRET_OUTPUT_MAX: usize = 1024 * 1024;
/// A file of credentials that `secrets audit` looks into, as documented.
pub const AUDIT_FILE: usize = 5 * 1024 * 1024;
/// SecretRefs of one configuration that programs are asked for.
pub const SECRETS: usize = 4096;
/// Secrets programs running at once, as documented.
pub const SECRET_CHILDREN: usize = 4;
/// Reloads that wait while another asks programs.
pub const SECRET_WAITERS: usize = 32;

/// Events that the stability recorder keeps (reference: 1000).
pub const STABILITY_EVENTS: usize = 1_000;
/// Stability bundles kept beside the logs; the oldest goes first (reference: 20).
pub const STABILITY_BUNDLES: usize = 20;
/// The window over which the loop's lateness is told; that before it counts too.
pub const LOOP_WINDOW_MS: u64 = 5_000;
/// A timer that comes up this much too late is worth a warning.
pub const LOOP_LATE_MS: u64 = 500;
/// The largest stability bundle that is read.
pub const STABILITY_BUNDLE: usize = 4 * 1024 * 1024;
/// Series on one page of `/metrics`; all of ours are far fewer than that.
pub const METRIC_SERIES: usize = 2_000;
/// Letters of a label's value on that page.
pub const METRIC_LABEL: usize = 128;
/// Longest message of one log line; the rest is cut.
pub const LOG_MESSAGE: usize = 8 * 1024;
/// The least cap of the log file: a smaller one would lose what just happened.
pub const LOG_FILE_MIN: u64 = 32 * 1024;
/// The largest cap of the log file.
pub const LOG_FILE_MAX: u64 = 100 * 1024 * 1024;
/// Its cap when nobody says; the reference's is 100 MB, which is much on a memory card.
pub const LOG_FILE: u64 = 10 * 1024 * 1024;
/// Files of the log in all: the one that is written, `<name>.1` before it, `<name>.2` before that.
pub const LOG_FILES: u32 = 3;
/// With `--force`: how long a listener may take to leave after TERM.
pub const FORCE_TERM_MS: u64 = 5_000;
/// With `--force`: how long the system may take to end it after KILL.
pub const FORCE_KILL_MS: u64 = 2_000;
/// A message from a file, by `--message-file` (the reference's).
pub const MESSAGE_FILE: usize = 4 * 1024 * 1024;
/// What is read of a password file.
pub const PASSWORD_FILE: usize = 64 * 1024;

/// Time to reach a provider, name and TLS included.
pub const PROVIDER_CONNECT_MS: u64 = 30_000;
/// A provider that sends nothing for this long is given up; keep-alive comments count.
pub const PROVIDER_IDLE_MS: u64 = 120_000;
/// After the provider said that it is done, the rest of its body may take this long.
pub const PROVIDER_TAIL_MS: u64 = 1_000;
/// Retries of the last candidate after overload or a broken connection: 1, 2, 4, 8 s.
pub const PROVIDER_RETRIES: u32 = 4;
/// Retries of a candidate that has another behind it.
pub const PROVIDER_RETRIES_EARLY: u32 = 1;
/// Longest pause between attempts; a provider that asks for a longer one is not asked again.
pub const PROVIDER_BACKOFF_MAX_MS: u64 = 60_000;
/// Parallel tool calls of one answer.
pub const TOOL_CALLS: usize = 128;
/// Characters that the embedded echo model repeats.
pub const ECHO_CHARS: usize = 100_000;

// Bounds of the codecs in `wire`.

/// Body bytes read over after the owner refused a request without wanting its body; a larger
/// body costs the client its connection.
pub const HTTP_DISCARD: usize = 256 * 1024;
/// Interim (1xx) responses before the real one.
pub const HTTP_INTERIM: usize = 16;
/// Chunk extensions of one body together: they carry nothing we use.
pub const HTTP_CHUNK_EXTENSIONS: usize = 8 * 1024;
/// Empty lines before a request line (RFC 9112 section 2.2 asks for at least one).
pub const HTTP_BLANK_LINES: u8 = 4;
/// Frames of one WebSocket message: 64 bytes each would still carry 8 MiB.
pub const WS_FRAGMENTS: usize = 128 * 1024;

// Bounds of the gateway.

/// Indexes are written and journals synced at most this often.
pub const SAVE_MS: u64 = 1_000;
/// Runs accepted and not over, running and queued; beyond it new ones are refused.
pub const RUNS: usize = 512;
/// Runs queued behind another one of the same session.
pub const RUNS_QUEUED_PER_SESSION: usize = 32;
/// Outcomes of finished runs kept for repeated idempotency keys and `agent.wait`.
pub const RUNS_REMEMBERED: usize = 1_000;
/// Bytes of those outcomes together.
pub const RUNS_REMEMBERED_BYTES: usize = 4 * 1024 * 1024;
/// `agent.wait` calls open at once.
pub const WAITS: usize = 1_024;
/// Longest `agent.wait`, and what it waits when the caller does not say.
pub const WAIT_MS_MAX: u64 = 3_600_000;
/// `agent.wait` without `timeoutMs` (reference: 30 s).
pub const WAIT_MS: u64 = 30_000;
/// Between two events with text of one run, `agent` assistant and `chat` delta.
pub const CHAT_DELTA_MS: u64 = 75;
/// Those events repeat all the text, so each of so many bytes adds a millisecond to that: one
/// run makes at most twice this a millisecond for one client, however long its answer.
pub const CHAT_DELTA_BYTES_PER_MS: usize = 2 * 1024;
/// Sessions one connection may follow by `sessions.messages.subscribe`.
pub const SUBSCRIPTIONS: usize = 256;
/// Longest compaction; what waits behind it then goes on without.
pub const COMPACTION_MS: u64 = 180_000;
/// Rows of one `sessions.list`, whatever `limit` says; the rest is on the next page.
pub const SESSION_ROWS: usize = 1_000;
/// Sessions of one answer whose transcript is looked into for a title or the last message: some
/// milliseconds.
pub const SESSION_PREVIEWS: usize = 200;
/// What is read of a transcript for such a look, from its beginning or its end.
pub const PREVIEW_BYTES: usize = 16 * 1024;
/// Messages of one session in `sessions.preview`.
pub const PREVIEW_ITEMS: usize = 50;
/// Characters of `lastMessagePreview`.
pub const PREVIEW_CHARS: usize = 160;
/// Rows of the usage figures of one day, a session and model each; what comes beyond them counts
/// for the day and no session.
pub const USAGE_ROWS: usize = 2_000;
/// Tools named in one such row.
pub const USAGE_TOOLS: usize = 32;
/// Days of one usage request.
pub const USAGE_DAYS: u64 = 366;
/// Messages of one session in `sessions.usage.timeseries` and `sessions.usage.logs`.
pub const USAGE_POINTS: usize = 1_000;
/// Characters of a message in `sessions.usage.logs`.
pub const USAGE_TEXT: usize = 2_000;
/// Characters of a title made from the first message.
pub const TITLE_CHARS: usize = 60;
/// From SIGTERM to the end of the process, unless `gateway.shutdownBudgetMs` says otherwise
/// (reference: 325 s); see [`crate::config::ShutdownBudget`].
pub const SHUTDOWN_BUDGET_MS: u64 = 325_000;
/// The last part of it, for telling peers, flushing and saving: what comes before it, 315 s, is
/// for active runs (reference: the same).
pub const SHUTDOWN_RESERVE_MS: u64 = 10_000;
/// By how much the service manager's patience exceeds the budget (reference: a unit of 330 s).
pub const SHUTDOWN_UNIT_MARGIN_SECS: u64 = 5;
/// A service definition that is read; a longer one is none of a gateway.
pub const SERVICE_DEFINITION: usize = 64 * 1024;
/// Definitions looked at in one directory of a service manager, and drop-ins of one unit.
pub const SERVICE_FILES: usize = 512;
/// What is kept of a service manager's answer.
pub const SERVICE_ANSWER: usize = 64 * 1024;
/// A service manager that only looks or reads a definition answers within this.
pub const SERVICE_LOOK_MS: u64 = 10_000;
/// A service manager that starts the gateway: its own limit is 30 s (`TimeoutStartSec`).
pub const SERVICE_START_MS: u64 = 45_000;
/// Answer of one run, text and tool calls; more fails the run. Its last turn tells the text
/// about six times over, which must fit [`WS_SLOW_CONSUMER`] for a client that does read.
pub const ANSWER_BYTES: usize = 2 * 1024 * 1024;
/// Messages of a session that go to the model; older ones stay in the transcript.
pub const CONTEXT_MESSAGES: usize = 2_000;
/// Bytes of the transcript that go to the model.
pub const CONTEXT_BYTES: usize = 4 * 1024 * 1024;
/// One line of a transcript; a longer one is damage. A message is at most a frame, a body, or an
/// answer of which every byte is written as six.
pub const TRANSCRIPT_LINE: usize = 64 * 1024 * 1024;
/// What clients are told of how long a restart takes.
pub const RESTART_EXPECTED_MS: u64 = 1_000;
/// A frame buffer is kept for the next frame up to this size.
pub const SCRATCH: usize = 64 * 1024;
/// Places made at the start in tables that live as long as the gateway.
pub const ROOM: usize = 1_024;

/// Outbound requests at once that are no model calls: pages, images, probes.
pub const EXCHANGES: usize = 32;

// Bounds of tools.

/// Turns of the model in one run, each with its tools; then the run fails with advice.
pub const TOOL_ROUNDS: u32 = 200;
/// Time for one tool call, but for those with a time limit of their own.
pub const TOOL_MS: u64 = 120_000;
/// Calls by `tools.invoke` are refused while so many calls are at work.
pub const TOOL_CALLS_OPEN: usize = 256;
/// Text of one tool result that goes to the model; the middle of a longer one is cut out.
pub const TOOL_RESULT: usize = 128 * 1024;
/// Sets of tools whose declarations are kept, by the names in them.
pub const TOOL_SETS: usize = 64;
/// Bytes that a disk tool reads or writes in one slice, about: some milliseconds.
pub const TOOL_SLICE: usize = 256 * 1024;
/// Directory entries that a disk tool looks at in one slice.
pub const TOOL_SLICE_ENTRIES: usize = 512;
/// Text of one answer of a file tool (the reference's read: 50 KB).
pub const TOOL_TEXT: usize = 50 * 1024;
/// Lines of one `read` (reference: 2000).
pub const TOOL_READ_LINES: u64 = 2_000;
/// First bytes of a file in which a NUL means that it is no text.
pub const TOOL_SNIFF: usize = 8 * 1024;
/// Entries of one directory; the rest of a larger one is not seen.
pub const TOOL_DIR_ENTRIES: usize = 10_000;
/// Entries that one walk through directories looks at; then it says that it stopped.
pub const TOOL_WALK: usize = 200_000;
/// Directories inside each other that a walk enters.
pub const TOOL_WALK_DEPTH: usize = 64;
/// Steps of a regular expression in one slice: some milliseconds.
pub const TOOL_REGEX_STEPS: usize = 500_000;
/// Places in a compiled regular expression; a character costs at most so many steps.
pub const TOOL_REGEX_STATES: usize = 2_000;
/// One line of a file as `grep` sees it; the rest of a longer one is not searched.
pub const TOOL_LINE: usize = 64 * 1024;
/// A file that is edited as a whole, by `edit` or `apply_patch`.
pub const TOOL_EDIT: usize = 8 * 1024 * 1024;
/// What `tools.web.fetch.maxResponseBytes` may be, as documented.
pub const WEB_BODY: [usize; 2] = [32_000, 10_000_000];
/// Pages kept by `web_fetch` for a repeated question.
pub const WEB_CACHE: usize = 64;
/// Bytes of those pages together.
pub const WEB_CACHE_BYTES: usize = 2 * 1024 * 1024;
/// What `yieldMs` of `exec` and `tools.exec.backgroundMs` may be, as documented.
pub const EXEC_YIELD_MS: [u64; 2] = [10, 120_000];
/// What `tools.exec.cleanupMs` may be, as documented.
pub const EXEC_KEEP_MS: [u64; 2] = [60_000, 10_800_000];

// Bounds of providers.

/// Keys of one provider; further ones are not used.
pub const PROVIDER_KEYS: usize = 32;
/// Keys that rest after a refusal, all providers together; the oldest is forgotten first.
pub const KEYS_RESTING: usize = 256;
/// Calls of `models.probe` under way.
pub const PROBES: usize = 16;
/// Bytes of a proxy's answer to CONNECT: a head and nothing else.
pub const PROXY_HEAD: usize = 8 * 1024;

// Bounds of agents.

/// Bytes read of one file of a workspace; the prompt holds a part of it.
pub const WORKSPACE_FILE: usize = 512 * 1024;
/// Directories looked at, from a workspace upwards, for the repository around it.
pub const REPO_LEVELS: usize = 16;
/// Skills of one agent; more are not seen.
pub const SKILLS: usize = 300;
/// Directories looked at for them.
pub const SKILL_DIRS: usize = 1_000;
/// Folders from a root down to a skill (the reference's).
pub const SKILL_DEPTH: usize = 6;
/// Bytes read of a `SKILL.md`: its head stands there.
pub const SKILL_HEAD: usize = 32 * 1024;
/// Characters of a name or description.
pub const SKILL_TEXT: usize = 1_024;
/// Skills are looked for at most this often.
pub const SKILLS_MS: u64 = 2_000;
/// Directories of `PATH` that are looked through.
pub const PATH_DIRS: usize = 64;
/// The text of one command (the system takes 128 KiB in one argument).
pub const EXEC_COMMAND: usize = 64 * 1024;
/// Variables that a call may add to the environment of its command.
pub const EXEC_ENV: usize = 64;
/// Bytes of those.
pub const EXEC_ENV_BYTES: usize = 32 * 1024;
/// Output kept of one command, as documented: the newest.
pub const EXEC_OUTPUT: usize = 200_000;
/// Output in one answer of `process poll`, as documented: the newest.
pub const EXEC_POLL: usize = 30_000;
/// Finished background commands kept for `process`, as documented.
pub const EXEC_KEPT: usize = 50;
/// Bytes of their output together, as documented.
pub const EXEC_KEPT_BYTES: usize = 2_000_000;
/// Between TERM and KILL for a command that has to end.
pub const EXEC_GRACE_MS: u64 = 500;
/// Between two updates of a command's output for clients that watch it.
pub const EXEC_UPDATE_MS: u64 = 300;
/// Longest `timeout` of `process poll`, as documented.
pub const EXEC_POLL_MS: u64 = 30_000;
/// Silence after which a command with open input is said to wait for it, as documented.
pub const EXEC_SILENT_MS: u64 = 15_000;
/// Approvals pending at once, clients that wait for one of them, and answers remembered.
pub const APPROVALS: usize = 64;
/// A question is over after this, as documented.
pub const APPROVAL_MS: u64 = 1_800_000;
/// `exec-approvals.json`.
pub const APPROVALS_FILE: usize = 1024 * 1024;

// Bounds of devices.

/// Paired devices. A person has a dozen; a key is refused beyond it, none is thrown out.
pub const DEVICES: usize = 512;
/// Devices that wait for an approval at once; a new one is refused beyond it.
pub const PAIRING_PENDING: usize = 64;
/// A request for pairing is dropped after this, as documented.
pub const PAIRING_PENDING_MS: u64 = 300_000;
/// Clients that wait for the end of a scope upgrade at once.
pub const UPGRADE_WAITS: usize = 64;
/// Setup codes that were not used yet, and outcomes remembered; the oldest goes.
pub const SETUP_CODES: usize = 32;
/// A setup code is worth nothing after this, as documented.
pub const SETUP_CODE_MS: u64 = 600_000;
/// A silent approval is not replaced by another of the same client within this.
pub const SUPERSEDE_MS: u64 = 60_000;
/// Characters kept of a device's name and of an operator's label for it (label: documented).
pub const DEVICE_NAME: usize = 64;
/// One document of devices: 512 of them with long names stay below.
pub const DEVICES_FILE: usize = 2 * 1024 * 1024;

// Bounds of nodes.

/// Nodes that are known; a stranger's row goes first when one more comes.
pub const NODES: usize = 256;
/// Capabilities, and permissions, that a node may claim.
pub const NODE_CAPS: usize = 64;
/// Commands that a node may claim.
pub const NODE_COMMANDS: usize = 256;
/// Bytes of one name that a node claims.
pub const NODE_WORD: usize = 128;
/// `nodes.json`: every node with a full surface and a full request would be more; then nothing
/// new is kept.
pub const NODES_FILE: usize = 8 * 1024 * 1024;
/// Invocations under way, of one node and in all: each holds its caller's request.
pub const NODE_INVOKES: usize = 64;
/// See [`NODE_INVOKES`].
pub const NODE_INVOKES_ALL: usize = 512;
/// An invocation without a time of its own.
pub const NODE_INVOKE_MS: u64 = 30_000;
/// The longest an invocation may take; also what `timeoutMs: 0` means.
pub const NODE_INVOKE_MS_MAX: u64 = 3_600_000;
/// Callers that may wait for one and the same invocation.
pub const NODE_INVOKE_WAITERS: usize = 8;
/// `node.pending.enqueue` without `expiresInMs`, as observed: a day.
pub const NODE_PENDING_MS: u64 = 86_400_000;
/// Between two `node.presence.alive` of one node that are kept.
pub const NODE_ALIVE_MS: u64 = 60_000;
/// Trigger words of `voicewake.set`, as documented.
pub const WAKE_WORDS: usize = 32;
/// UTF-16 units of one of them, as documented.
pub const WAKE_WORD_UNITS: usize = 64;

/// A pax header of an archive: names of 64 KiB are longer than any path a system takes.
pub const ARCHIVE_PAX: usize = 64 * 1024;
/// The manifest of a backup that is verified: its list of assets, one a workspace.
pub const ARCHIVE_MANIFEST: usize = 4 * 1024 * 1024;
/// Entries of one backup; a tree with more is a mistake (a workspace that is a whole disk).
pub const BACKUP_ENTRIES: usize = 2_000_000;
/// Directories within each other that a backup or a look at modes goes down.
pub const TREE_DEPTH: usize = 64;

// doctor and security audit.

/// Entries of the state directory whose modes `doctor` and `security audit` look at; a larger
/// one is looked at as far as that, so that they stay quick.
pub const TREE_ENTRIES: usize = 20_000;
/// Bytes of transcripts that `doctor` reads line by line, newest sessions first; beyond it they
/// are taken to be whole: it answers in less than 100 ms.
pub const DOCTOR_TRANSCRIPTS: u64 = 4 * 1024 * 1024;
/// A gateway that answers on this machine does so at once.
pub const DOCTOR_PROBE_MS: u64 = 1_500;
/// Free bytes below which the disk of the state directory counts as nearly full.
pub const DISK_LOW: u64 = 200 * 1024 * 1024;
/// Open files below which a gateway runs out of them: each connection is one.
pub const OPEN_FILES_LOW: u64 = 1_024;
/// A token or password shorter than this is guessed sooner (the reference's number).
pub const SECRET_CHARS_LOW: usize = 24;

// Chat channels.

/// Accounts of one channel: each is a connection of its own.
pub const CHANNEL_ACCOUNTS: usize = 32;
/// Messages of people that were accepted and are no run yet, of all channels: those that a run
/// has no room for, whose sender may go on, or whose files come. More are not acknowledged.
pub const CHANNEL_INBOX: usize = 512;
/// First pause before a channel connects again, doubled with each failure.
pub const CHANNEL_BACKOFF_MS: u64 = 2_000;
/// Longest pause before a channel connects again.
pub const CHANNEL_BACKOFF_MAX_MS: u64 = 300_000;
/// A request of a channel that does not say how long it may take.
pub const CHANNEL_HTTP_MS: u64 = 30_000;
/// Bytes of an answer to a channel's request that does not say more.
pub const CHANNEL_HTTP_ANSWER: usize = 1024 * 1024;
/// Bytes of a webhook's body: services send one event, or a batch of a few.
pub const CHANNEL_HOOK: usize = 1024 * 1024;
/// Pictures and files of one message that are fetched.
pub const CHANNEL_MEDIA: usize = 10;
/// Files of all messages that are fetched at once; the others wait their turn.
pub const MEDIA_FETCHES: usize = 4;
/// One file must be here by then.
pub const MEDIA_FETCH_MS: u64 = 60_000;
/// All files of a message must be here by then; it is answered without the others.
pub const MEDIA_MESSAGE_MS: u64 = 120_000;
/// How often a file is asked for.
pub const MEDIA_TRIES: u32 = 3;
/// Redirects from the service to where its files are.
pub const MEDIA_REDIRECTS: u32 = 3;
/// Files that came are kept up to so many bytes together; the oldest make room.
pub const MEDIA_INBOUND: u64 = 512 * 1024 * 1024;
/// A file that is sent is held in memory as a whole, a few times over while it leaves; larger ones
/// are refused, whatever `mediaMaxMb` says.
pub const MEDIA_UPLOAD: u64 = 20 * 1024 * 1024;
/// A file that `openclaw message send --media` reads itself: what a frame carries as base64.
pub const MEDIA_BY_CLI: u64 = 18 * 1024 * 1024;
/// A file that is heard is held in memory as a whole while it leaves; the reference's bound too.
pub const TRANSCRIBE_BYTES: u64 = 20 * 1024 * 1024;
/// A file with less than this is no speech (reference).
pub const TRANSCRIBE_LEAST: u64 = 1024;
/// A transcript must be here by then, unless `timeoutSeconds` says otherwise (reference).
pub const TRANSCRIBE_MS: u64 = 60_000;
/// All transcripts of a message must be here by then; it goes on without the others.
pub const TRANSCRIBE_MESSAGE_MS: u64 = 180_000;
/// Bytes of a service's answer: words, and their times where they come along.
pub const TRANSCRIBE_ANSWER: usize = 4 * 1024 * 1024;
/// Characters of a transcript that reach the model: hours of speech.
pub const TRANSCRIPT_CHARS: usize = 100_000;
/// Files that are heard at once, whatever `tools.media.concurrency` says; the others wait.
pub const TRANSCRIPTIONS: usize = 4;
/// Entries of `tools.media.models` that are tried for one file.
pub const LISTENERS: usize = 16;
/// Pause after which the parts of an album are one message, as the reference has it.
pub const CHANNEL_ALBUM_MS: u64 = 500;
/// Albums of which a later part is still let in with its first.
pub const CHANNEL_ALBUMS: usize = 64;

/// First pause before Slack is asked again, as the reference has it.
pub const SLACK_BACKOFF_MS: u64 = 2_000;
/// Longest such pause.
pub const SLACK_BACKOFF_MAX_MS: u64 = 30_000;
/// Conversations whose kind was told; of more any one is forgotten.
pub const SLACK_ROOMS: usize = 1_024;
/// A WebSocket of Slack's must have greeted by then.
pub const SLACK_HELLO_MS: u64 = 15_000;
/// A live one is pinged so often.
pub const SLACK_PING_MS: u64 = 15_000;
/// A ping must be answered within this; the reference's own value.
pub const SLACK_PONG_MS: u64 = 15_000;
/// A socket whose successor is live is closed after this, if Slack does not.
pub const SLACK_GOING_MS: u64 = 10_000;
/// Messages looked through for one that an earlier attempt may have posted.
pub const SLACK_LOOK: usize = 50;
/// The bytes of one file must have reached Slack by then.
pub const SLACK_UPLOAD_MS: u64 = 120_000;

/// How long Telegram holds an empty poll, seconds.
pub const TELEGRAM_POLL_S: u64 = 30;
/// How much later than that a poll is given up.
pub const TELEGRAM_POLL_GRACE_MS: u64 = 15_000;
/// Bytes of one answer to a poll: a hundred long messages.
pub const TELEGRAM_POLL_ANSWER: usize = 4 * 1024 * 1024;
/// Bytes of a poll's answer that are read to learn the number of an update that is too long.
pub const TELEGRAM_PEEK: usize = 256;
/// Updates of one poll, and requests of a webhook that wait for each other; the Bot API's most.
pub const TELEGRAM_UPDATES: usize = 100;
/// Pause after a 409: the other poller's window, and a little.
pub const TELEGRAM_CONFLICT_MS: u64 = 35_000;
/// First pause before Telegram is asked again.
pub const TELEGRAM_BACKOFF_MS: u64 = 1_000;
/// Longest such pause.
pub const TELEGRAM_BACKOFF_MAX_MS: u64 = 60_000;
/// UTF-16 units of a caption; longer words follow as a message of their own.
pub const TELEGRAM_CAPTION: usize = 1024;
/// Bytes of a button's value.
pub const TELEGRAM_CALLBACK: usize = 64;
/// Commands of a menu; the Bot API's most.
pub const TELEGRAM_COMMANDS: usize = 100;
/// Chats that rest at once; more are asked and say so again.
pub const TELEGRAM_RESTS: usize = 256;
/// Messages of ours that a reaction is known to be on.
pub const TELEGRAM_OWN: usize = 512;
/// A poll that was answered at once with nothing is repeated so long after it began.
pub const TELEGRAM_POLL_EMPTY_MS: u64 = 1_000;
/// A button that could not be told to stop spinning is told again after so long ...
pub const TELEGRAM_PRESS_MS: u64 = 2_000;
/// ... when it was not heard within this ...
pub const TELEGRAM_PRESS_WAIT_MS: u64 = 8_000;
/// ... and so many times at most: Telegram forgets it after a minute.
pub const TELEGRAM_PRESS_TRIES: u32 = 4;
/// The Bot API gives no larger file.
pub const TELEGRAM_FILE: u64 = 20 * 1024 * 1024;
/// The Bot API takes no larger photo; it goes as a document then.
pub const TELEGRAM_PHOTO: usize = 10 * 1024 * 1024;
/// The Bot API takes no larger file.
pub const TELEGRAM_UPLOAD: usize = 50 * 1024 * 1024;
/// A file must have reached Telegram by then.
pub const TELEGRAM_UPLOAD_MS: u64 = 120_000;

/// First pause before Discord is asked again.
pub const DISCORD_BACKOFF_MS: u64 = 1_000;
/// Longest such pause.
pub const DISCORD_BACKOFF_MAX_MS: u64 = 60_000;
/// Pause before a session that was live goes on over another socket.
pub const DISCORD_AGAIN_MS: u64 = 500;
/// A socket of Discord's must have said hello by then.
pub const DISCORD_HELLO_MS: u64 = 20_000;
/// Dispatches must flow so long after that: READY or RESUMED.
pub const DISCORD_LIVE_MS: u64 = 30_000;
/// Resumes in a row that come to nothing before the session is given up for another one.
pub const DISCORD_RESUMES: u32 = 3;
/// First pause before a channel whose look-up failed is looked up again.
pub const DISCORD_LOOK_MS: u64 = 1_000;
/// Longest such pause.
pub const DISCORD_LOOK_MAX_MS: u64 = 60_000;
/// Between two identifies: one in five seconds is allowed.
pub const DISCORD_IDENTIFY_MS: u64 = 5_500;
/// Dispatches that wait for the look-up of a channel; more come again by a resume.
pub const DISCORD_QUEUE: usize = 256;
/// Channels and threads that are known; others are looked up when somebody speaks there.
pub const DISCORD_ROOMS: usize = 4_096;
/// Direct channels that are known.
pub const DISCORD_DIRECT: usize = 1_024;
/// Routes that rest at once.
pub const DISCORD_RESTS: usize = 256;
/// Commands whose first answer is awaited.
pub const DISCORD_AWAITED: usize = 64;
/// Commands of the menu; Discord's most.
pub const DISCORD_COMMANDS: usize = 100;
/// Bytes of one answer of its API.
pub const DISCORD_ANSWER: usize = 2 * 1024 * 1024;
/// Files must have reached Discord by then.
pub const DISCORD_UPLOAD_MS: u64 = 120_000;

/// Pause after a certificate that is not trusted: the clock may be set meanwhile, a portal passed.
pub const CHANNEL_DISTRUST_MS: u64 = 60_000;
/// Until a channel's socket is open, name look-up and handshakes included.
pub const CHANNEL_DIAL_MS: u64 = 30_000;
/// Bytes of one message on a channel's WebSocket: a Discord READY of a large server has some.
pub const CHANNEL_WS_MESSAGE: usize = 4 * 1024 * 1024;
/// Sockets of one account: Slack has two at most, and one more may be on its way out.
pub const CHANNEL_SOCKETS: usize = 4;
/// Bytes that a channel's server has not taken, before it counts as gone.
pub const CHANNEL_OUT: usize = 4 * 1024 * 1024;
/// Requests of a service at our door that one account has not answered yet.
pub const CHANNEL_HOOKS: usize = 32;
/// Acts of one account under way.
pub const CHANNEL_ACTS: usize = 64;
/// Bytes of a file that holds a channel's secret.
pub const CHANNEL_SECRET_FILE: u64 = 64 * 1024;
/// Ids of messages that are remembered, to know them again when they come twice.
pub const CHANNEL_RECENT: usize = 4_096;
/// Messages of one account that wait to be delivered.
pub const CHANNEL_OUTBOX: usize = 1_024;
/// How long a message waits for its channel: an answer of yesterday helps nobody.
pub const CHANNEL_OUTBOX_TTL_MS: u64 = 86_400_000;
/// How long the answer to a request waits for its delivery: less than command lines wait.
pub const DELIVERY_TOLD_MS: u64 = 20_000;
/// Conversations that rest because a service asked for it, of all channels.
pub const CHANNEL_RESTS: usize = 256;
/// Messages that were given up and are kept for an operator.
pub const DEAD_LETTERS: usize = 256;
/// Bytes of all of them.
pub const DEAD_LETTERS_BYTES: usize = 4 * 1024 * 1024;
/// Attempts at one piece while its account is connected.
pub const CHANNEL_ATTEMPTS: u32 = 8;
/// Between two tries to begin a run for a message while the gateway has no room.
pub const CHANNEL_RETRY_MS: u64 = 2_000;
/// Tries to begin a run for a message; then its sender is told.
pub const CHANNEL_TRIES: u32 = 900;
/// A pairing code lives an hour, as documented.
pub const CHANNEL_PAIRING_MS: u64 = 3_600_000;
/// People who wait for pairing with one account, as documented.
pub const CHANNEL_PAIRING_PENDING: usize = 3;
/// Messages of a group that are told with the next one meant for the bot.
pub const CHANNEL_HISTORY: usize = 50;
/// Pairs of bots whose talk is counted.
pub const BOT_PAIRS: usize = 256;
/// Messages of such a pair within one window, however many are allowed.
pub const BOT_PAIR_EVENTS: usize = 1_000;
/// Groups whose talk is remembered.
pub const CHANNEL_HISTORIES: usize = 256;
/// Characters of one such message.
pub const CHANNEL_HISTORY_CHARS: usize = 1_000;
/// Characters of a message that is answered.
pub const CHANNEL_QUOTE_CHARS: usize = 2_000;
/// Between two signs that an answer is being written, when `typingIntervalSeconds` is not set.
pub const CHANNEL_TYPING_MS: u64 = 6_000;
/// An answer waits so long for what its preview has under way; then it goes without.
pub const DRAFT_PATIENCE_MS: u64 = 3_000;
/// How often a preview is edited or looked for once more before the answer goes without.
pub const DRAFT_TRIES: u32 = 3;
/// A preview whose receipt got lost is looked for by its nonce for so long: Discord remembers
/// one for two minutes.
pub const DRAFT_FIND_MS: u64 = 100_000;
/// Edits of one preview that fail in a row; then there are no more.
pub const DRAFT_FAILURES: u32 = 4;
/// A first preview shorter than this many characters ...
pub const DRAFT_FIRST_CHARS: usize = 30;
/// ... waits so long, and so does the status of a run that works.
pub const DRAFT_FIRST_MS: u64 = 1_500;
/// Lines of a status that are kept, whatever `maxLines` says.
pub const DRAFT_LINES: usize = 32;
/// Blocks of one answer: more go out with its end.
pub const DRAFT_BLOCKS: u32 = 200;
/// Conversations of an account that one audit asks about.
pub const CHANNEL_AUDIT: usize = 50;
/// All probes and audits of one `channels.status` together.
pub const CHANNEL_PROBE_MS: u64 = 10_000;

/// What of the time that a client waits for probes is left for the answer's way, in milliseconds.
pub const CHANNEL_PROBE_SPARE_MS: u64 = 1_000;
/// An account that has been connecting for so long is stuck.
pub const CHANNEL_STUCK_MS: u64 = 300_000;
/// Options of a poll: what the services take.
pub const CHANNEL_POLL: usize = 12;
/// Pages of a service's list that one look-up of a name reads: 200 entries each at Slack.
pub const DIRECTORY_PAGES: usize = 50;
/// Bytes that are read of a webhook's answer to an event of a job.
pub const CRON_WEBHOOK_ANSWER: usize = 16 * 1024;
/// For a webhook of a job, name look-up included.
pub const CRON_WEBHOOK_MS: u64 = 30_000;
/// How long a heartbeat that says the same again is not told.
pub const HEARTBEAT_SAME_MS: u64 = 86_400_000;
/// Agents of a broadcast group, as documented.
pub const BROADCAST_AGENTS: usize = 16;

// IRC.

/// Bytes of a line from a server, tags included (IRCv3: 8191 and 512).
pub const IRC_LINE: usize = 8_703;
/// Parameters of a line (RFC 1459: 15).
pub const IRC_PARAMS: usize = 32;
/// Bytes of a line to a server, without its end (RFC 1459: 512 with it).
pub const IRC_LINE_OUT: usize = 510;
/// Room for our own `!user@host` in what others see.
pub const IRC_HOSTMASK: usize = 75;
/// Channels an account enters.
pub const IRC_ROOMS: usize = 64;
/// Nicks that are tried when ours is taken.
pub const IRC_NICKS: usize = 6;
/// Until the server's welcome.
pub const IRC_REGISTER_MS: u64 = 60_000;
/// Between two of our own PINGs.
pub const IRC_PING_MS: u64 = 60_000;
/// A connection that lasted so long begins its pauses anew when it is lost.
pub const IRC_STABLE_MS: u64 = 30_000;
/// Whoever a server sends away for coming too often stays away for so long.
pub const IRC_THROTTLED_MS: u64 = 60_000;
/// A nick of ours that NickServ was asked to free is asked for after so long ...
pub const IRC_GHOST_MS: u64 = 3_000;
/// ... and again after so long each time.
pub const IRC_REGAIN_MS: u64 = 60_000;
/// Until a PONG has to be there.
pub const IRC_PONG_MS: u64 = 45_000;
/// Lines that may leave at once.
pub const IRC_BURST: u64 = 5;
/// Then one line each.
pub const IRC_LINE_EVERY_MS: u64 = 1_000;
/// Lines that wait for that pace.
pub const IRC_LINES_WAITING: usize = 512;
/// After a kick from a channel.
pub const IRC_REJOIN_MS: u64 = 10_000;
/// Masks heard on a connection that are remembered.
pub const IRC_KNOWN: usize = 1_024;
/// A goodbye takes a message for sent whose receipt was asked for less than this ago.
pub const IRC_GOODBYE_MS: u64 = 2_000;
/// Bytes that the server has not said to have handled; beyond it we wait (IRCnet keeps 1,000).
pub const IRC_WINDOW: usize = 900;
/// Lines of that kind: the slowest servers take two seconds each.
pub const IRC_WINDOW_LINES: usize = 8;
/// A message waits so long for a room to let us in, or for the rest of it to be heard.
pub const IRC_PARKED_MS: u64 = 120_000;
