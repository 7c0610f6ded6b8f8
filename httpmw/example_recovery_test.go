// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
)

// A panic is a problem to the peer, and nothing more. Below a Record its value
// and its stack are in the request's log line and on its span.
func ExampleRecovery() {
	h := httpmw.Recovery(httpmw.WithPanicLogger(slog.New(slog.DiscardHandler)))(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("password of the database") }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	fmt.Print(w.Body)
	// Output:
	// 500 application/problem+json
	// {"status":500,"title":"Internal Server Error","type":"about:blank"}
}

// Browsers get a page of yours; what asks for JSON still gets JSON.
func ExampleRecovery_errorPage() {
	page := httpmw.HTMLPage(template.Must(template.New("").Parse("<h1>Sorry</h1><p>{{.Status}} {{.Title}}</p>\n")))
	h := httpmw.Recovery(httpmw.WithErrorPage(page), httpmw.WithPanicLogger(slog.New(slog.DiscardHandler)))(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh") }))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	fmt.Print(w.Body)
	// Output:
	// 500 text/html; charset=utf-8
	// <h1>Sorry</h1><p>500 Internal Server Error</p>
}

// A server holds requests to what their callers allow, and to a limit of its own.
func ExampleDeadline() {
	budget, err := ctxutil.NewBudget(ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(time.Minute))
	if err != nil {
		fmt.Println(err)
		return
	}
	h := httpmw.Deadline(budget)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // a database that takes its time
		fmt.Println("ended by:", ctxutil.EndedBy(r.Context()))
	}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Request-Timeout-Ms", "5")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println("answered:", w.Code)
	// Output:
	// ended by: caller_deadline
	// answered: 504
}

// A client tells the next hop what is left, and does not send what cannot be
// answered in time.
func ExampleDeadlineTransport() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, sent := ctxutil.TimeoutFrom(ctxutil.HTTPCarrier(r.Header))
		fmt.Fprintln(w, "the server knows the deadline:", sent)
	}))
	defer srv.Close()
	client := &http.Client{Transport: httpmw.DeadlineTransport(ctxutil.Budget{})(srv.Client().Transport)}
	call := func(timeout time.Duration) {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println("not sent:", errors.Is(err, ctxutil.ErrBudgetExhausted))
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(os.Stdout, resp.Body)
	}
	call(time.Minute)
	call(0)
	// Output:
	// the server knows the deadline: true
	// not sent: true
}

// Bodies are logged for those who ask for it, and secrets not even then.
func ExamplePayloadLog() {
	h := httpmw.PayloadLog(exampleLogger())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "welcome")
	}))
	r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(`{"user":"ada","password":"lovelace"}`))
	r.Header.Set("Content-Type", "application/json")
	h.ServeHTTP(httptest.NewRecorder(), r)
	// Output:
	// level=DEBUG msg="http message" http.request.method=POST url.path=/login side=server direction=received content_type=application/json bytes=36 payload.password=[REDACTED] payload.user=ada
	// level=DEBUG msg="http message" http.request.method=POST url.path=/login side=server direction=sent content_type=text/plain bytes=7 payload=welcome
}
