// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// incoming returns the context a handler gets; here that of a request that came
// with a traceparent, in a service without an SDK.
func incoming() context.Context {
	sc, _ := ctxutil.ParseTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	return trace.ContextWithRemoteSpanContext(context.Background(), sc)
}

// sent is a log whose lines are received from a channel.
type sent chan string

func (s sent) Write(line []byte) (int, error) { s <- string(line); return len(line), nil }

// logger returns a plain logger whose lines are the same every time.
func (s sent) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "stack" {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// A panic on another goroutine is logged with the request's ids, and the process
// goes on.
func ExampleGo() {
	logged := make(sent)

	ctxutil.Go(incoming(), "warm-cache", func(ctx context.Context) error {
		panic("cache is cold")
	}, ctxutil.WithLogger(logged.logger()))

	fmt.Print(<-logged)
	// Output:
	// level=ERROR msg="goroutine panicked" goroutine=warm-cache panic="cache is cold" trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7
}

// The first error cancels what else is running.
func ExampleGroup() {
	g, _ := ctxutil.NewGroup(incoming(), "reserve")
	g.SetLimit(4)
	g.Go(func(context.Context) error { return errors.New("out of stock") })
	g.Go(func(ctx context.Context) error {
		<-ctx.Done()
		fmt.Println("gave up because", context.Cause(ctx))
		return ctx.Err()
	})
	fmt.Println(g.Wait())
	// Output:
	// gave up because out of stock
	// out of stock
}

// Results come in the order of the functions, whoever is done first.
func ExampleGather() {
	price := func(shop string, cents int) func(context.Context) (int, error) {
		return func(context.Context) (int, error) { return cents, nil } // ask the shop
	}
	prices, err := ctxutil.Gather(incoming(), "prices", price("a", 1299), price("b", 1249), price("c", 1310))
	fmt.Println(prices, err)
	// Output: [1299 1249 1310] <nil>
}

// Two workers and no queue: a third task is refused instead of piling up.
func ExamplePool() {
	mails, err := ctxutil.NewPool("mail", 2, 0, ctxutil.WithDetachedTasks(30*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	delivered := make(chan struct{})
	for range 3 {
		err := mails.Submit(incoming(), func(ctx context.Context) error {
			<-delivered // send the mail
			return nil
		})
		fmt.Println(err, errors.Is(err, ctxutil.ErrPoolFull))
	}
	close(delivered)

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println("drained:", mails.Close(ctx))
	// Output:
	// <nil> false
	// <nil> false
	// ctxutil: pool is full: "mail" true
	// drained: <nil>
}

// The customer hangs up; the points are added all the same.
func ExampleDetach() {
	ctx, hangUp := context.WithCancel(incoming())
	done := make(chan struct{})

	ctxutil.Detach(ctx, "loyalty-points", 10*time.Second, func(ctx context.Context) error {
		defer close(done)
		hangUp()
		_, limited := ctx.Deadline()
		fmt.Println(ctxutil.TraceID(ctx), ctx.Err(), limited)
		return nil
	})
	<-done
	// Output: 4bf92f3577b34da6a3ce929d0e0e4736 <nil> true
}

// What a request began is undone although the request was canceled.
func ExampleDetached() {
	undo := func(ctx context.Context) error { return ctx.Err() } // call the other service
	request, cancel := context.WithCancel(incoming())
	cancel()

	ctx, finish := ctxutil.Detached(request, "undo-reservation", 5*time.Second)
	err := undo(ctx)
	finish(err)
	fmt.Println(err)
	// Output: <nil>
}

// A request's identity crosses a queue as JSON.
func ExampleEnvelope() {
	type message struct {
		Request ctxutil.Envelope `json:"request"`
		Order   string           `json:"order"`
	}
	queue := make(chan []byte, 1)

	// The producer, in a handler.
	m, err := json.Marshal(message{Request: ctxutil.Pack(incoming()), Order: "o-1"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(m))
	queue <- m

	// The consumer, in another process.
	var got message
	if err := json.Unmarshal(<-queue, &got); err != nil {
		log.Fatal(err)
	}
	err = got.Request.Do(context.Background(), "notify", func(ctx context.Context) error {
		fmt.Println("notifying about", got.Order, "in trace", ctxutil.TraceID(ctx))
		return nil
	})
	fmt.Println(err)
	// Output:
	// {"request":{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},"order":"o-1"}
	// notifying about o-1 in trace 4bf92f3577b34da6a3ce929d0e0e4736
	// <nil>
}

// Open is for consumers that have a loop of their own.
func ExampleEnvelope_Open() {
	e := ctxutil.Pack(incoming()).WithDeadline(time.Now().Add(time.Minute))

	ctx, finish := e.Open(context.Background(), "notify")
	var err error
	defer func() { finish(err) }()
	_, limited := ctx.Deadline()
	fmt.Println(ctxutil.TraceID(ctx), limited)
	// Output: 4bf92f3577b34da6a3ce929d0e0e4736 true
}

func ExampleGoroutines() {
	resized := make(chan struct{})
	g, _ := ctxutil.NewGroup(incoming(), "resize-image")
	for range 3 {
		g.Go(func(context.Context) error { <-resized; return nil })
	}
	for _, s := range ctxutil.Goroutines() {
		if s.Name == "resize-image" {
			fmt.Println(s.InFlight, "in flight,", s.Errors, "failed")
		}
	}
	close(resized)
	fmt.Println(g.Wait())
	// Output:
	// 3 in flight, 0 failed
	// <nil>
}
