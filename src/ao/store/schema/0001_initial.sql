-- Times are milliseconds since the epoch, UTC, unless a column says otherwise. Vocabularies (agent, phase, activity,
-- state, type) are open: a CHECK would turn every new word into a rebuild of the table. Columns follow the structs of
-- ao.model, in order. Facts that clients see reach change_log by the triggers below, in the same transaction.

CREATE TABLE projects (
    id TEXT NOT NULL PRIMARY KEY,
    path TEXT NOT NULL,
    name TEXT NOT NULL,
    repo TEXT NOT NULL,
    default_branch TEXT NOT NULL,
    kind TEXT NOT NULL,
    config TEXT NOT NULL,
    next_num INTEGER NOT NULL,
    registered_at INTEGER NOT NULL,
    archived_at INTEGER,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX projects_active_path ON projects (path) WHERE archived_at IS NULL;

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    num INTEGER NOT NULL,
    kind TEXT NOT NULL,
    agent TEXT NOT NULL,
    issue_id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    prompt TEXT NOT NULL,
    rules TEXT NOT NULL,
    model TEXT NOT NULL,
    permissions TEXT NOT NULL,
    repo_path TEXT NOT NULL,
    workspace_path TEXT NOT NULL,
    workspace_state TEXT NOT NULL,
    branch TEXT NOT NULL,
    branch_created INTEGER NOT NULL,
    base_ref TEXT NOT NULL,
    base_sha TEXT NOT NULL,
    base_at INTEGER,
    warnings TEXT NOT NULL CHECK (json_valid(warnings)),
    server INTEGER NOT NULL,
    launches INTEGER NOT NULL,
    native_id TEXT NOT NULL,
    phase TEXT NOT NULL,
    activity TEXT NOT NULL,
    activity_at INTEGER NOT NULL,
    activity_source TEXT NOT NULL,
    first_signal_at INTEGER,
    hook_boot TEXT NOT NULL,
    hook_seq INTEGER NOT NULL,
    agent_pid INTEGER,
    agent_started TEXT NOT NULL,
    exit_code INTEGER,
    failure_code TEXT NOT NULL,
    failure_message TEXT NOT NULL,
    failure_hint TEXT NOT NULL,
    preserved_path TEXT NOT NULL,
    preserved_reason TEXT NOT NULL,
    replaces TEXT NOT NULL,
    launched_at INTEGER,
    ended_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (project_id, num)
) STRICT;

CREATE UNIQUE INDEX sessions_one_orchestrator ON sessions (project_id)
WHERE kind = 'orchestrator' AND phase IN ('seeded', 'workspace', 'launched', 'live');

-- A start of the daemon and a clean-up read only the rows they are about; one may carry a prompt of 64 KiB.
CREATE INDEX sessions_phase ON sessions (phase, project_id);

CREATE TABLE messages (
    id TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    num INTEGER NOT NULL,
    source TEXT NOT NULL,
    sender TEXT NOT NULL,
    text TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    state TEXT NOT NULL,
    held_reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    failure TEXT NOT NULL,
    possible_duplicate INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (session_id, num)
) STRICT;

CREATE UNIQUE INDEX messages_idempotency ON messages (session_id, idempotency_key) WHERE idempotency_key <> '';
CREATE INDEX messages_queued ON messages (session_id, num) WHERE state = 'queued';
CREATE INDEX messages_sending ON messages (session_id, num) WHERE state = 'sending';

CREATE TABLE idempotency (
    key TEXT NOT NULL PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    session_id TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_age ON idempotency (created_at);

-- No foreign keys: the log outlives what it tells of. AUTOINCREMENT: a sequence number is never given twice, so a
-- cursor stays meaningful when the newest rows are gone. created_at is RFC 3339, UTC, with milliseconds.
CREATE TABLE change_log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id TEXT NOT NULL,
    session_id TEXT,
    type TEXT NOT NULL,
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE INDEX change_log_session ON change_log (session_id, seq) WHERE session_id IS NOT NULL;

CREATE TRIGGER session_created AFTER INSERT ON sessions
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    VALUES (new.project_id, new.id, 'session_created', json_object(
        'id', new.id,
        'activity', new.activity,
        'isTerminated', json(iif(new.phase IN ('ending', 'ended'), 'true', 'false'))
    ));
END;

-- ao_handle is the application's: the terminal's name is a pure function of the id.
CREATE TRIGGER session_updated AFTER UPDATE ON sessions
WHEN (
    old.phase, old.activity, old.activity_source, old.display_name, old.branch, old.workspace_path,
    old.workspace_state, old.agent, old.model, old.permissions, old.issue_id, old.base_ref, old.base_sha, old.base_at,
    old.warnings, old.launches, old.native_id, old.exit_code, old.failure_code, old.failure_message, old.failure_hint,
    old.preserved_path, old.preserved_reason, old.first_signal_at IS NULL
) IS NOT (
    new.phase, new.activity, new.activity_source, new.display_name, new.branch, new.workspace_path,
    new.workspace_state, new.agent, new.model, new.permissions, new.issue_id, new.base_ref, new.base_sha, new.base_at,
    new.warnings, new.launches, new.native_id, new.exit_code, new.failure_code, new.failure_message, new.failure_hint,
    new.preserved_path, new.preserved_reason, new.first_signal_at IS NULL
)
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    VALUES (new.project_id, new.id, 'session_updated', json_object(
        'id', new.id,
        'activity', new.activity,
        'isTerminated', json(iif(new.phase IN ('ending', 'ended'), 'true', 'false')),
        'phase', new.phase,
        'displayName', new.display_name,
        'previewUrl', '',
        'previewRevision', 0,
        'branch', new.branch,
        'terminalHandleId', iif(new.launches > 0, ao_handle(new.id), '')
    ));
END;

CREATE TRIGGER session_deleted AFTER DELETE ON sessions
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    VALUES (old.project_id, old.id, 'session_deleted', json_object('id', old.id));
END;

CREATE TRIGGER project_added AFTER INSERT ON projects
WHEN new.archived_at IS NULL
BEGIN
    INSERT INTO change_log (project_id, type, payload)
    VALUES (new.id, 'project_added', json_object('id', new.id, 'name', new.name, 'path', new.path));
END;

CREATE TRIGGER project_added_again AFTER UPDATE ON projects
WHEN old.archived_at IS NOT NULL AND new.archived_at IS NULL
BEGIN
    INSERT INTO change_log (project_id, type, payload)
    VALUES (new.id, 'project_added', json_object('id', new.id, 'name', new.name, 'path', new.path));
END;

CREATE TRIGGER project_updated AFTER UPDATE ON projects
WHEN old.archived_at IS NULL AND new.archived_at IS NULL
    AND (old.path, old.name, old.repo, old.default_branch, old.kind, old.config)
    IS NOT (new.path, new.name, new.repo, new.default_branch, new.kind, new.config)
BEGIN
    INSERT INTO change_log (project_id, type, payload)
    VALUES (new.id, 'project_updated', json_object('id', new.id, 'name', new.name, 'path', new.path));
END;

CREATE TRIGGER project_archived AFTER UPDATE ON projects
WHEN old.archived_at IS NULL AND new.archived_at IS NOT NULL
BEGIN
    INSERT INTO change_log (project_id, type, payload)
    VALUES (new.id, 'project_removed', json_object('id', new.id));
END;

CREATE TRIGGER message_added AFTER INSERT ON messages
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    SELECT project_id, id, 'message_updated', json_object(
        'id', new.id,
        'sessionId', new.session_id,
        'state', new.state,
        'heldReason', new.held_reason,
        'source', new.source
    ) FROM sessions WHERE id = new.session_id;
END;

CREATE TRIGGER message_updated AFTER UPDATE ON messages
WHEN (old.state, old.held_reason) IS NOT (new.state, new.held_reason)
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    SELECT project_id, id, 'message_updated', json_object(
        'id', new.id,
        'sessionId', new.session_id,
        'state', new.state,
        'heldReason', new.held_reason,
        'source', new.source
    ) FROM sessions WHERE id = new.session_id;
END;
