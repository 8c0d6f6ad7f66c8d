-- Pull requests and what follows from them. As in 0001: times in milliseconds, open vocabularies, columns as the structs
-- of ao.model have them, in order. pr and its parts are facts of a forge; local_* is a forge itself.

ALTER TABLE sessions ADD COLUMN terminate_on_pr_merge INTEGER;
ALTER TABLE sessions ADD COLUMN start_commit TEXT NOT NULL DEFAULT '';

DROP TRIGGER session_updated;

CREATE TRIGGER session_updated AFTER UPDATE ON sessions
WHEN (
    old.phase, old.activity, old.activity_source, old.display_name, old.branch, old.workspace_path,
    old.workspace_state, old.agent, old.model, old.permissions, old.issue_id, old.base_ref, old.base_sha, old.base_at,
    old.warnings, old.launches, old.native_id, old.exit_code, old.failure_code, old.failure_message, old.failure_hint,
    old.preserved_path, old.preserved_reason, old.first_signal_at IS NULL, old.terminate_on_pr_merge
) IS NOT (
    new.phase, new.activity, new.activity_source, new.display_name, new.branch, new.workspace_path,
    new.workspace_state, new.agent, new.model, new.permissions, new.issue_id, new.base_ref, new.base_sha, new.base_at,
    new.warnings, new.launches, new.native_id, new.exit_code, new.failure_code, new.failure_message, new.failure_hint,
    new.preserved_path, new.preserved_reason, new.first_signal_at IS NULL, new.terminate_on_pr_merge
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
        'terminalHandleId', iif(new.launches > 0, ao_handle(new.id), ''),
        'terminateOnPrMerge', json(iif(new.terminate_on_pr_merge IS NULL, 'null',
            iif(new.terminate_on_pr_merge, 'true', 'false')))
    ));
END;

CREATE TABLE pr (
    url TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    project_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    forge TEXT NOT NULL,
    host TEXT NOT NULL,
    repo TEXT NOT NULL,
    state TEXT NOT NULL,
    ci TEXT NOT NULL,
    review TEXT NOT NULL,
    mergeability TEXT NOT NULL,
    reasons TEXT NOT NULL CHECK (json_valid(reasons)),
    title TEXT NOT NULL,
    author TEXT NOT NULL,
    source_branch TEXT NOT NULL,
    target_branch TEXT NOT NULL,
    head_sha TEXT NOT NULL,
    base_sha TEXT NOT NULL,
    head_repo TEXT NOT NULL,
    merge_sha TEXT NOT NULL,
    node TEXT NOT NULL,
    html_url TEXT NOT NULL,
    additions INTEGER NOT NULL,
    deletions INTEGER NOT NULL,
    changed_files INTEGER NOT NULL,
    provider_created_at INTEGER NOT NULL,
    provider_changed_at INTEGER NOT NULL,
    merged_at INTEGER,
    closed_at INTEGER,
    unresolved INTEGER NOT NULL,
    stamp TEXT NOT NULL,
    revision INTEGER NOT NULL,
    acked INTEGER NOT NULL,
    head_at INTEGER NOT NULL,
    observed_at INTEGER NOT NULL,
    ci_observed_at INTEGER NOT NULL,
    review_observed_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX pr_session ON pr (session_id);
CREATE INDEX pr_project ON pr (project_id, number);
CREATE INDEX pr_number ON pr (number);
CREATE INDEX pr_open ON pr (project_id, number) WHERE state IN ('open', 'draft');
CREATE INDEX pr_undecided ON pr (url) WHERE acked < revision;

CREATE TABLE pr_checks (
    pull_url TEXT NOT NULL REFERENCES pr (url) ON DELETE CASCADE,
    name TEXT NOT NULL,
    commit_sha TEXT NOT NULL,
    status TEXT NOT NULL,
    conclusion TEXT NOT NULL,
    url TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    log_tail TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (pull_url, name, commit_sha)
) STRICT;

-- semantic_hash covers the thread with its comments: updated_at moves when what it says does.
CREATE TABLE pr_review_threads (
    pull_url TEXT NOT NULL REFERENCES pr (url) ON DELETE CASCADE,
    thread_id TEXT NOT NULL,
    path TEXT NOT NULL,
    line INTEGER NOT NULL,
    resolved INTEGER NOT NULL,
    is_bot INTEGER NOT NULL,
    semantic_hash TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (pull_url, thread_id)
) STRICT;

-- Comments in threads and, with thread_id '', on the whole.
CREATE TABLE pr_comment (
    pull_url TEXT NOT NULL REFERENCES pr (url) ON DELETE CASCADE,
    comment_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    author TEXT NOT NULL,
    association TEXT NOT NULL,
    is_bot INTEGER NOT NULL,
    is_viewer INTEGER NOT NULL,
    author_session TEXT NOT NULL,
    body TEXT NOT NULL,
    path TEXT NOT NULL,
    line INTEGER NOT NULL,
    url TEXT NOT NULL,
    reply INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (pull_url, comment_id)
) STRICT;

CREATE TABLE pr_reviews (
    pull_url TEXT NOT NULL REFERENCES pr (url) ON DELETE CASCADE,
    review_id TEXT NOT NULL,
    author TEXT NOT NULL,
    association TEXT NOT NULL,
    is_bot INTEGER NOT NULL,
    is_viewer INTEGER NOT NULL,
    author_session TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL,
    url TEXT NOT NULL,
    commit_sha TEXT NOT NULL,
    submitted_at INTEGER NOT NULL,
    PRIMARY KEY (pull_url, review_id)
) STRICT;

CREATE TABLE scm_cursors (
    repo_key TEXT NOT NULL PRIMARY KEY,
    cursor TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- A pull request may change hands; what its first owner was told stays that session's.
CREATE TABLE nudges (
    id TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    pull_url TEXT NOT NULL,
    cause TEXT NOT NULL,
    head_sha TEXT NOT NULL,
    signature TEXT NOT NULL,
    round INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX nudges_pull ON nudges (pull_url);
CREATE INDEX nudges_session ON nudges (session_id);
CREATE INDEX nudges_message ON nudges (message_id) WHERE message_id <> '';

-- session_id is '' for what concerns a project or the daemon: no foreign key.
CREATE TABLE notifications (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    pull_url TEXT NOT NULL,
    type TEXT NOT NULL,
    signature TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    read_at INTEGER,
    resolved_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX notifications_what ON notifications (session_id, pull_url, type, signature);
CREATE INDEX notifications_age ON notifications (created_at, id);
CREATE INDEX notifications_project ON notifications (project_id, created_at, id);
CREATE INDEX notifications_unread ON notifications (created_at, id) WHERE read_at IS NULL;
CREATE INDEX notifications_unresolved ON notifications (created_at, id) WHERE resolved_at IS NULL;

CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    notification_id TEXT NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    channel TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    failure TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'pending';
CREATE INDEX deliveries_notification ON deliveries (notification_id);

CREATE TABLE review_runs (
    id TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    project_id TEXT NOT NULL,
    reviewer_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    pull_url TEXT NOT NULL,
    target_sha TEXT NOT NULL,
    round INTEGER NOT NULL,
    automatic INTEGER NOT NULL,
    status TEXT NOT NULL,
    verdict TEXT NOT NULL,
    body TEXT NOT NULL,
    comments TEXT NOT NULL CHECK (json_valid(comments)),
    forge_review_id TEXT NOT NULL,
    failure TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    delivered_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX review_runs_one_running ON review_runs (session_id, pull_url) WHERE status = 'running';
-- A commit that is being read, or was found good, isn't read again by the same agent.
CREATE UNIQUE INDEX review_runs_one_a_commit ON review_runs (pull_url, target_sha, agent)
WHERE status = 'running' OR (status IN ('complete', 'delivered') AND verdict = 'approved');
CREATE INDEX review_runs_running ON review_runs (created_at) WHERE status = 'running';
CREATE INDEX review_runs_session ON review_runs (session_id, created_at);
CREATE INDEX review_runs_pull ON review_runs (pull_url, created_at);
CREATE INDEX review_runs_reviewer ON review_runs (reviewer_id, created_at) WHERE reviewer_id <> '';

CREATE TABLE local_pulls (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    number INTEGER NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    source_branch TEXT NOT NULL,
    target_branch TEXT NOT NULL,
    author TEXT NOT NULL,
    author_session TEXT NOT NULL,
    draft INTEGER NOT NULL,
    state TEXT NOT NULL,
    head_sha TEXT NOT NULL,
    base_sha TEXT NOT NULL,
    merge_sha TEXT NOT NULL,
    merged_at INTEGER,
    closed_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (project_id, number)
) STRICT;

CREATE UNIQUE INDEX local_pulls_one_open ON local_pulls (project_id, source_branch, target_branch)
WHERE state = 'open';

CREATE TABLE local_threads (
    id TEXT NOT NULL PRIMARY KEY,
    pull_id TEXT NOT NULL REFERENCES local_pulls (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    line INTEGER NOT NULL,
    commit_sha TEXT NOT NULL,
    resolved INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX local_threads_pull ON local_threads (pull_id);

CREATE TABLE local_comments (
    id TEXT NOT NULL PRIMARY KEY,
    pull_id TEXT NOT NULL REFERENCES local_pulls (id) ON DELETE CASCADE,
    thread_id TEXT NOT NULL,
    review_id TEXT NOT NULL,
    author TEXT NOT NULL,
    author_session TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX local_comments_pull ON local_comments (pull_id);

CREATE TABLE local_reviews (
    id TEXT NOT NULL PRIMARY KEY,
    pull_id TEXT NOT NULL REFERENCES local_pulls (id) ON DELETE CASCADE,
    author TEXT NOT NULL,
    author_session TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL,
    commit_sha TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX local_reviews_pull ON local_reviews (pull_id);

CREATE TABLE local_checks (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    tree TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    conclusion TEXT NOT NULL,
    exit_code INTEGER,
    log TEXT NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX local_checks_tree ON local_checks (project_id, tree);
CREATE INDEX local_checks_unfinished ON local_checks (created_at) WHERE status IN ('queued', 'in_progress');

CREATE TRIGGER pr_created AFTER INSERT ON pr
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    VALUES (new.project_id, new.session_id, 'pr_created', json_object(
        'url', new.url,
        'session', new.session_id,
        'state', new.state,
        'ci', new.ci,
        'review', new.review,
        'mergeability', new.mergeability
    ));
END;

CREATE TRIGGER pr_updated AFTER UPDATE ON pr
WHEN (
    old.state, old.ci, old.review, old.mergeability, old.reasons, old.title, old.source_branch, old.target_branch,
    old.head_sha, old.unresolved
) IS NOT (
    new.state, new.ci, new.review, new.mergeability, new.reasons, new.title, new.source_branch, new.target_branch,
    new.head_sha, new.unresolved
)
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    VALUES (new.project_id, new.session_id, 'pr_updated', json_object(
        'url', new.url,
        'session', new.session_id,
        'state', new.state,
        'ci', new.ci,
        'review', new.review,
        'mergeability', new.mergeability
    ));
END;

CREATE TRIGGER pr_session_changed AFTER UPDATE ON pr
WHEN old.session_id IS NOT new.session_id
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    VALUES (new.project_id, new.session_id, 'pr_session_changed', json_object(
        'url', new.url,
        'fromSession', old.session_id,
        'toSession', new.session_id
    ));
END;

CREATE TRIGGER pr_check_added AFTER INSERT ON pr_checks
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    SELECT project_id, session_id, 'pr_check_recorded', json_object(
        'pr', new.pull_url,
        'name', new.name,
        'commit', new.commit_sha,
        'status', new.status
    ) FROM pr WHERE url = new.pull_url;
END;

CREATE TRIGGER pr_check_changed AFTER UPDATE ON pr_checks
WHEN old.status IS NOT new.status
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    SELECT project_id, session_id, 'pr_check_recorded', json_object(
        'pr', new.pull_url,
        'name', new.name,
        'commit', new.commit_sha,
        'status', new.status
    ) FROM pr WHERE url = new.pull_url;
END;

CREATE TRIGGER pr_review_thread_added AFTER INSERT ON pr_review_threads
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    SELECT project_id, session_id, 'pr_review_thread_added', json_object(
        'pr', new.pull_url,
        'thread', new.thread_id,
        'path', new.path,
        'line', new.line,
        'resolved', json(iif(new.resolved, 'true', 'false')),
        'isBot', json(iif(new.is_bot, 'true', 'false'))
    ) FROM pr WHERE url = new.pull_url;
END;

CREATE TRIGGER pr_review_thread_resolved AFTER UPDATE ON pr_review_threads
WHEN old.resolved IS NOT new.resolved
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    SELECT project_id, session_id, 'pr_review_thread_resolved', json_object(
        'pr', new.pull_url,
        'thread', new.thread_id,
        'path', new.path,
        'line', new.line,
        'resolved', json(iif(new.resolved, 'true', 'false'))
    ) FROM pr WHERE url = new.pull_url;
END;

CREATE TRIGGER nudge_added AFTER INSERT ON nudges
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    SELECT project_id, id, 'nudge_updated', json_object(
        'id', new.id,
        'session', new.session_id,
        'pr', new.pull_url,
        'cause', new.cause,
        'state', new.state
    ) FROM sessions WHERE id = new.session_id;
END;

CREATE TRIGGER nudge_updated AFTER UPDATE ON nudges
WHEN old.state IS NOT new.state
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    SELECT project_id, id, 'nudge_updated', json_object(
        'id', new.id,
        'session', new.session_id,
        'pr', new.pull_url,
        'cause', new.cause,
        'state', new.state
    ) FROM sessions WHERE id = new.session_id;
END;

CREATE TRIGGER notification_created AFTER INSERT ON notifications
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    VALUES (new.project_id, nullif(new.session_id, ''), 'notification_created', json_object(
        'id', new.id,
        'type', new.type,
        'session', new.session_id,
        'pr', new.pull_url,
        'title', new.title
    ));
END;

CREATE TRIGGER notification_updated AFTER UPDATE ON notifications
WHEN (old.read_at IS NULL, old.resolved_at IS NULL) IS NOT (new.read_at IS NULL, new.resolved_at IS NULL)
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    VALUES (new.project_id, nullif(new.session_id, ''), 'notification_updated', json_object(
        'id', new.id,
        'read', json(iif(new.read_at IS NULL, 'false', 'true')),
        'resolved', json(iif(new.resolved_at IS NULL, 'false', 'true'))
    ));
END;

CREATE TRIGGER review_added AFTER INSERT ON review_runs
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    VALUES (new.project_id, new.session_id, 'review_updated', json_object(
        'id', new.id,
        'session', new.session_id,
        'pr', new.pull_url,
        'status', new.status,
        'verdict', new.verdict
    ));
END;

CREATE TRIGGER review_updated AFTER UPDATE ON review_runs
WHEN (old.status, old.verdict) IS NOT (new.status, new.verdict)
BEGIN
    INSERT INTO change_log (project_id, session_id, type, payload)
    VALUES (new.project_id, new.session_id, 'review_updated', json_object(
        'id', new.id,
        'session', new.session_id,
        'pr', new.pull_url,
        'status', new.status,
        'verdict', new.verdict
    ));
END;

-- A session's row goes only when its spawn failed; what was to be told of it goes too.
CREATE TRIGGER notifications_go_with_their_session AFTER DELETE ON sessions
BEGIN
    DELETE FROM notifications WHERE session_id = old.id;
END;
