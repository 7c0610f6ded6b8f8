// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/record"
)

// exampleLogger logs what is the same each time an example runs.
func exampleLogger() *slog.Logger {
	changing := map[string]bool{slog.TimeKey: true, "trace_id": true, "span_id": true, "duration_ms": true, "deadline_left_ms": true, "peer": true}
	return slog.New(logging.NewHandler(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if changing[a.Key] {
				return slog.Attr{}
			}
			return a
		},
	})))
}

// One request is one line, with what its handler added to it, and an answer that
// says under which id to look for it.
func ExampleRecord() {
	rec, err := record.New(record.WithLogger(exampleLogger()))
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		ctxutil.Add(r.Context(), slog.String("order_id", r.PathValue("id")))
		_, _ = io.WriteString(w, "an order")
	})
	h := httpmw.Chain(mux, httpmw.Record(rec), httpmw.Recovery())

	r := httptest.NewRequest(http.MethodGet, "/orders/17", nil)
	r.Header.Set("X-Request-ID", "req-7")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println("a trace id of", len(w.Header().Get("X-Trace-ID")), "digits for", w.Header().Get("X-Request-ID"))
	// Output:
	// level=INFO msg="http server request" http.request.method=GET http.route=/orders/{id} url.path=/orders/17 http.response.status_code=200 request_id=req-7 request_bytes=0 response_bytes=8 order_id=17
	// a trace id of 32 digits for req-7
}

// A client's record goes on in the server's: both have one trace id.
func ExampleRecordTransport() {
	rec, err := record.New(record.WithLogger(exampleLogger()))
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := httptest.NewServer(httpmw.Record(rec)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, ctxutil.TraceID(r.Context()))
	})))
	defer srv.Close()

	// httpmw.NewClient makes clients with safe numbers; any other will do.
	client := &http.Client{Transport: httpmw.RecordTransport(rec, "payment")(srv.Client().Transport)}
	resp, err := client.Get(srv.URL + "/charge")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	id, _ := io.ReadAll(resp.Body) // the record ends with the body
	fmt.Println("the same id:", string(id) == resp.Header.Get("X-Trace-ID"))
	// Unordered output:
	// level=INFO msg="http server request" http.request.method=GET url.path=/charge http.response.status_code=200 request_bytes=0 response_bytes=32
	// level=DEBUG msg="http client request" http.request.method=GET server.address=payment url.path=/charge http.response.status_code=200 request_bytes=0 response_bytes=32
	// the same id: true
}

// A middleware that hands down a request of its own hides what the mux matched;
// Route, around the mux, finds it again.
func ExampleRoute() {
	rec, err := record.New(record.WithLogger(exampleLogger()))
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(http.ResponseWriter, *http.Request) {})
	authenticate := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.Clone(r.Context()))
		})
	}
	h := httpmw.Chain(httpmw.Route(mux), httpmw.Record(rec), authenticate)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/users/1", nil))
	// Output:
	// level=INFO msg="http server request" http.request.method=GET http.route=/users/{id} url.path=/users/1 http.response.status_code=200 request_bytes=0 response_bytes=0
}

// A mux below a prefix does not know of it. Its requests have the whole route
// all the same.
func ExampleMount() {
	rec, err := record.New(record.WithLogger(exampleLogger()))
	if err != nil {
		fmt.Println(err)
		return
	}
	api := http.NewServeMux()
	api.HandleFunc("GET /users/{id}", func(http.ResponseWriter, *http.Request) {})
	mux := http.NewServeMux()
	mux.Handle("/api/", httpmw.Mount("/api", api))
	h := httpmw.Chain(mux, httpmw.Record(rec))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/api/users/1", nil))
	// Output:
	// level=INFO msg="http server request" http.request.method=GET http.route=/api/users/{id} url.path=/api/users/1 http.response.status_code=200 request_bytes=0 response_bytes=0
}
