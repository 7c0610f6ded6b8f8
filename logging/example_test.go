// SPDX-License-Identifier: Apache-2.0

package logging_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/scope"
	"github.com/fairlead-go/fairlead/logging"
)

// incoming stands for the context that a server's handler gets from package
// httpmw or interceptors.
func incoming() context.Context {
	ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{0x0a, 0xf7, 15: 0x9c},
		SpanID:  trace.SpanID{0xb7, 7: 0x31},
	}))
	s := new(scope.Scope)
	s.Init(ctx, trace.SpanFromContext(ctx))
	return s
}

// stdout is a JSON handler without times, which no example can know.
func stdout() slog.Handler { return newJSON(os.Stdout) }

func Example() {
	log := slog.New(logging.NewHandler(stdout(), logging.WithService("order", "1.4.2", "")))

	ctx := incoming()
	ctxutil.Add(ctx, slog.String("order_id", "o-17"))
	log.WithGroup("stock").InfoContext(ctx, "reserved", "sku", "a-1")
	// Output:
	// {"level":"INFO","msg":"reserved","service.name":"order","service.version":"1.4.2","trace_id":"0af7000000000000000000000000009c","span_id":"b700000000000031","order_id":"o-17","stock":{"sku":"a-1"}}
}

// A request can be followed at debug level while all others are not.
func ExampleNewHandler_requestLevel() {
	log := slog.New(logging.NewHandler(stdout()))

	ctx := incoming()
	log.DebugContext(ctx, "not logged")
	ctxutil.SetLevel(ctx, slog.LevelDebug)
	log.DebugContext(ctx, "logged")
	log.Debug("another request")
	// Output:
	// {"level":"DEBUG","msg":"logged","trace_id":"0af7000000000000000000000000009c","span_id":"b700000000000031"}
}

// The more specific value wins, and nobody writes over the ids.
func ExampleNewHandler_noKeyTwice() {
	log := slog.New(logging.NewHandler(stdout())).With("region", "eu")
	log.InfoContext(incoming(), "moved", "region", "us", "trace_id", "mine")
	// Output:
	// {"level":"INFO","msg":"moved","region":"us","trace_id":"0af7000000000000000000000000009c","span_id":"b700000000000031","attr.trace_id":"mine"}
}

func ExampleNewHandler_redaction() {
	log := slog.New(logging.NewHandler(stdout()))
	log.Info("login",
		"user", "ann",
		"password", "hunter2",
		"header", http.Header{"Accept": {"text/html"}, "Authorization": {"Bearer eyJ…"}},
		slog.Group("oauth", "token_type", "bearer", "refresh_token", "r-1"))
	// Output:
	// {"level":"INFO","msg":"login","user":"ann","password":"[REDACTED]","header":{"Accept":["text/html"],"Authorization":["[REDACTED]"]},"oauth":{"token_type":"bearer","refresh_token":"[REDACTED]"}}
}

// What came from outside cannot start a line of its own.
func ExampleNewHandler_injection() {
	log := slog.New(logging.NewHandler(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: noTime})))
	name := "ann\nlevel=ERROR msg=\"all is lost\"\x1b[2J"
	log.Info("no such user "+name, "err", errors.New(name))
	// Output:
	// level=INFO msg="no such user ann\\nlevel=ERROR msg=\"all is lost\"\\x1b[2J" err="ann\\nlevel=ERROR msg=\"all is lost\"\\x1b[2J"
}

// Each destination has its own level; a request's level goes for both.
func ExampleNewHandler_multi() {
	log := slog.New(slog.NewMultiHandler(
		logging.NewHandler(stdout()),
		logging.NewHandler(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: noTime}), logging.WithLevel(slog.LevelWarn))))
	log.Info("to one")
	log.Warn("to both")
	// Output:
	// {"level":"INFO","msg":"to one"}
	// {"level":"WARN","msg":"to both"}
	// level=WARN msg="to both"
}

func ExampleSampler() {
	sampler, err := logging.NewSampler(time.Second, 2, 100)
	if err != nil {
		fmt.Println(err)
		return
	}
	log := slog.New(logging.NewHandler(stdout(), logging.WithSampler(sampler)))
	for i := range 150 {
		log.Warn("stock is low", "i", i)
	}
	fmt.Printf("%+v\n", sampler.Stats())
	// Output:
	// {"level":"WARN","msg":"stock is low","i":0}
	// {"level":"WARN","msg":"stock is low","i":1}
	// {"level":"WARN","msg":"stock is low","i":101,"dropped_repeats":99}
	// {Passed:3 Dropped:147 Unreported:48 Untracked:0}
}

func ExampleSecret() {
	config := struct {
		User     string
		Password logging.Secret
	}{"ann", "hunter2"}
	fmt.Printf("%+v\n", config)
	fmt.Println(config.Password.Reveal())
	// Output:
	// {User:ann Password:[REDACTED]}
	// hunter2
}

func ExampleNewRedactor() {
	redactor, err := logging.NewRedactor(
		logging.WithRedactedKeys("iban", "customer_number"),
		logging.WithAllowedKeys("session.id"))
	if err != nil {
		fmt.Println(err)
		return
	}
	log := slog.New(logging.NewHandler(stdout(), logging.WithRedactor(redactor)))
	log.Info("paid", "IBAN", "DE89…", "customerNumber", 4711, "session.id", "s-1", "password", "p")
	// Output:
	// {"level":"INFO","msg":"paid","IBAN":"[REDACTED]","customerNumber":"[REDACTED]","session.id":"s-1","password":"[REDACTED]"}
}

func ExampleRedactor_Attr() {
	redactor, err := logging.NewRedactor()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(redactor.Attr(slog.String("db.password", "p")))
	fmt.Println(redactor.Attr(slog.Int("password_length", 12)))
	// Output:
	// db.password=[REDACTED]
	// password_length=12
}

func ExampleRedactor_URL() {
	redactor, err := logging.NewRedactor()
	if err != nil {
		fmt.Println(err)
		return
	}
	u, err := url.Parse("https://ann:hunter2@example.com/file?page=2&X-Amz-Signature=9f3c")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(redactor.URL(u))
	// Output:
	// https://REDACTED:REDACTED@example.com/file?page=2&X-Amz-Signature=REDACTED
}
