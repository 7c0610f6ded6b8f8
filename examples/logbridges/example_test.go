// SPDX-License-Identifier: Apache-2.0

package logbridges_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/rs/zerolog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/examples/logbridges"
	"github.com/fairlead-go/fairlead/logging"
)

// A service on zap keeps its logger; each request gets one that knows it.
func ExampleNewCore() {
	zl := zap.New(logbridges.NewCore(logging.NewHandler(stdout())))

	serve(func(ctx context.Context) {
		ctxutil.Add(ctx, slog.String("order_id", "o-17"))
		log := logbridges.WithContext(ctx, zl)
		log.Info("reserved", zap.String("sku", "a-1"), zap.Int("rows", 2))
		log.Named("db").Error("failed\nbadly", zap.Error(errors.New("no route")), zap.String("password", "hunter2"))
	})
	// Output:
	// {"level":"INFO","msg":"reserved","trace_id":"0af7651916cd43dd8448eb211c80319c","order_id":"o-17","sku":"a-1","rows":2}
	// {"level":"ERROR","msg":"failed\\nbadly","trace_id":"0af7651916cd43dd8448eb211c80319c","order_id":"o-17","logger":"db","error":"no route","password":"[REDACTED]"}
}

// The context can also come with a single entry.
func ExampleContext() {
	zl := zap.New(logbridges.NewCore(logging.NewHandler(stdout())))

	serve(func(ctx context.Context) {
		zl.Info("one way", logbridges.Context(ctx))
		zl.Info("another", zap.Any("ctx", ctx))
	})
	zl.Info("without")
	// Output:
	// {"level":"INFO","msg":"one way","trace_id":"0af7651916cd43dd8448eb211c80319c"}
	// {"level":"INFO","msg":"another","trace_id":"0af7651916cd43dd8448eb211c80319c"}
	// {"level":"INFO","msg":"without"}
}

// The request's level reaches zap.
func ExampleWithContext_level() {
	zl := zap.New(logbridges.NewCore(logging.NewHandler(stdout())))

	serve(func(ctx context.Context) {
		log := logbridges.WithContext(ctx, zl)
		log.Debug("not logged")
		ctxutil.SetLevel(ctx, slog.LevelDebug)
		log.Debug("logged")
	})
	// Output:
	// {"level":"DEBUG","msg":"logged","trace_id":"0af7651916cd43dd8448eb211c80319c"}
}

// What zap fields become.
func ExampleNewCore_fields() {
	zl := zap.New(logbridges.NewCore(logging.NewHandler(stdout())))
	zl.With(zap.Bool("ok", true), zap.Namespace("db"), zap.String("table", "t")).Warn("slow",
		zap.Uint8("n", 7),
		zap.Float64("ratio", 0.5),
		zap.Strings("tags", []string{"a", "b"}),
		zap.Object("user", zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
			enc.AddString("name", "ann")
			enc.AddString("token", "t")
			return nil
		})),
		zap.Namespace("query"),
		zap.Stringer("level", slog.LevelInfo),
		zap.Error(nil))
	// Output:
	// {"level":"WARN","msg":"slow","ok":true,"db":{"table":"t","n":7,"ratio":0.5,"tags":["a","b"],"user":{"name":"ann","token":"[REDACTED]"},"query":{"level":"INFO"}}}
}

// A service on zerolog adds a hook to its logger.
func ExampleNewHook() {
	redactor, err := logging.NewRedactor()
	if err != nil {
		fmt.Println(err)
		return
	}
	out := zerolog.New(steady{os.Stdout}).Hook(logbridges.NewHook(redactor))

	serve(func(ctx context.Context) {
		ctxutil.Add(ctx, slog.String("order_id", "o-17"), slog.Group("user", "name", "ann", "token", "t"))
		out.Info().Ctx(ctx).Str("sku", "a-1").Msg("reserved")

		log := out.With().Ctx(ctx).Logger()
		log.Warn().Msg("slow")
	})
	out.Info().Msg("without a context")
	// Output:
	// {"level":"info","sku":"a-1","trace_id":"0af7651916cd43dd8448eb211c80319c","order_id":"o-17","user":{"name":"ann","token":"[REDACTED]"},"message":"reserved"}
	// {"level":"warn","trace_id":"0af7651916cd43dd8448eb211c80319c","order_id":"o-17","user":{"name":"ann","token":"[REDACTED]"},"message":"slow"}
	// {"level":"info","message":"without a context"}
}

// Code on slog can write through zerolog, so the format stays what it was.
func Example_zerologBehind() {
	zl := zerolog.New(steady{os.Stdout})
	log := slog.New(logging.NewHandler(zerolog.NewSlogHandler(zl), logging.WithLevel(slog.LevelInfo)))

	serve(func(ctx context.Context) {
		log.InfoContext(ctx, "reserved", "sku", "a-1", "token", "t")
	})
	// Output:
	// {"level":"info","trace_id":"0af7651916cd43dd8448eb211c80319c","sku":"a-1","token":"[REDACTED]","message":"reserved"}
}

// steady cuts times and span ids, which no test can know, out of lines.
type steady struct{ io.Writer }

func (w steady) Write(line []byte) (int, error) {
	if _, err := w.Writer.Write(unknown.ReplaceAll(line, nil)); err != nil {
		return 0, err
	}
	return len(line), nil
}
