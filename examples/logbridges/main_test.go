// SPDX-License-Identifier: Apache-2.0

package logbridges_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/record"
)

// serve handles one request, whose trace is known, with handler.
func serve(handler func(context.Context)) {
	recorder, err := record.New()
	if err != nil {
		panic(err)
	}
	h := httpmw.Record(recorder)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		handler(r.Context())
	}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Trace-ID", "0af7651916cd43dd8448eb211c80319c")
	h.ServeHTTP(httptest.NewRecorder(), r)
}

// stdout is a JSON handler without the times and span ids that no test can know.
func stdout() slog.Handler {
	return slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == "span_id") {
			return slog.Attr{}
		}
		return a
	}})
}
