// SPDX-License-Identifier: Apache-2.0

// Package logbridges shows how services on zap and zerolog get the ids, the
// request's attributes, redaction and escaping of package logging. It is an
// example to copy from: three ways, from most to least of what logging does.
//
// # zap in front, slog behind
//
// [NewCore] is a zapcore.Core that hands entries to an [slog.Handler], usually
// a logging.Handler. Code keeps its *zap.Logger; [WithContext] or [Context]
// tells it the request. Everything package logging does is done.
//
//	zl := zap.New(logbridges.NewCore(logging.NewHandler(slog.NewJSONHandler(os.Stdout, nil))))
//	logbridges.WithContext(ctx, zl).Info("reserved", zap.String("sku", sku))
//
// # slog in front, zap or zerolog behind
//
// Where new code is on slog and the output must stay what it was, the inner
// handler is a bridge: zerolog.NewSlogHandler, or zapslog.NewHandler of
// go.uber.org/zap/exp. Everything package logging does is done here, too.
//
//	slog.New(logging.NewHandler(zerolog.NewSlogHandler(zl)))
//
// # zerolog all the way
//
// [NewHook] is a zerolog.Hook that adds the ids and the request's attributes
// from the context of an event. It is all a hook can do: the event's own
// fields are neither redacted nor freed of keys that are there twice, and the
// request's level is not known to zerolog.
package logbridges
