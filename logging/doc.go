// SPDX-License-Identifier: Apache-2.0

// Package logging completes and cleans log records on their way to any
// [slog.Handler]. [NewHandler] wraps that handler; nothing else changes:
//
//	slog.SetDefault(slog.New(logging.NewHandler(
//		slog.NewJSONHandler(os.Stdout, nil),
//		logging.WithService("order", "1.4.2", ""))))
//
//	slog.InfoContext(ctx, "reserved", "sku", sku)
//
// It is no logging API and writes nothing itself. The request log, one line a
// call, is made by package record, and passes through here.
//
// # What is on a record
//
// In this order: the service (resource) attributes, those of [slog.Logger.With],
// trace_id and span_id of the span in the context, request_id if the caller
// gave an id, what ctxutil.Add put on the request, and the record's own. All
// but the last are at the root, and so findable, whatever groups are open. The
// ids are there without an OTel SDK and for unsampled traces too. A record
// logged without a context (slog.Info) has no ids; lint for that with sloglint.
//
// # No key twice
//
// JSON with a key twice is read differently by everybody (go.dev/issue/56345).
// Within the root and within each group, the more specific value wins: the
// record's over that of Logger.With, and that over the request's; of two on
// the same level, the later. Two groups with the same key become one, by the
// same rule. Groups without a key are inlined first.
//
// At the root these keys are reserved: time, level, msg and source, which slog
// writes; trace_id, span_id, dropped_attrs and dropped_repeats; and those of
// the resource. An attribute that has one gets "attr." in front, so nobody can
// fake an id by accident or otherwise; if it repeats the id, it is left out.
//
// # Secrets
//
// Values are redacted by key and by type, in groups, LogValuers, maps, headers,
// structs and URLs: see [Redactor] and [Secret]. Messages and the text of
// string values are not searched for secrets.
//
// # One record, one line
//
// Line breaks, control characters, terminal escapes, invalid UTF-8 and
// bidirectional overrides in messages, keys, strings, errors and what is in
// structs and maps are escaped visibly: a line feed becomes `\n`. JSON and text handlers
// escape some of these for their own format; here it is done for whatever
// reads the log afterwards, such as a terminal that shows the decoded JSON.
// There, an escaped line feed is a backslash and an n, so in the JSON itself
// it is `\\n`. Backslashes are left as they are. A multi-line stack trace is
// one line, too. Types with MarshalJSON or MarshalText are trusted to encode
// themselves. [WithMaxValueBytes] and [WithMaxAttrs] bound what one record
// takes.
//
// # Levels
//
// ctxutil.SetLevel(ctx, slog.LevelDebug) lets all of one request's records
// through, or with a higher level, fewer. [Handler.Enabled] then does not ask
// the inner handler, and Handle calls its Handle directly. The handlers of
// log/slog do not check the level there. Others do, [slog.MultiHandler] among
// them: give those the lowest level you will want, and this one [WithLevel].
//
// # Load
//
// [WithSampler] drops repeats, never errors, and says how many it dropped. It
// counts the lines of the request log, whose message is the same for all
// methods, like any other.
//
// # Several destinations, OTLP
//
// Wrap each destination and join them with [slog.NewMultiHandler], so that
// each keeps its own level and requests can override all of them:
//
//	slog.New(slog.NewMultiHandler(
//		logging.NewHandler(slog.NewJSONHandler(os.Stderr, nil)),
//		logging.NewHandler(otelslog.NewHandler("order"), logging.WithLevel(slog.LevelWarn))))
//
// otelslog takes the ids from the context into the fields that OTLP has for
// them; the attributes trace_id and span_id are there in addition. Package
// telemetry sets this up. For zap and zerolog see examples/logbridges.
//
// # Cost
//
// A record with up to 5 attributes, ids included, costs no allocation beyond
// the inner handler's; one with more costs one, an open group another. A
// record that has its ids first, as package record makes them, is passed on as
// it is if there is nothing to clean, and costs none.
package logging
