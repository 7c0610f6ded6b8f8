// SPDX-License-Identifier: Apache-2.0

package respwriter_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/fairlead-go/fairlead/internal/respwriter"
)

// sink takes everything and allocates nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header               { return s.header }
func (s *sink) WriteHeader(int)                   {}
func (s *sink) Write(p []byte) (int, error)       { return len(p), nil }
func (s *sink) WriteString(p string) (int, error) { return len(p), nil }
func (s *sink) ReadFrom(io.Reader) (int64, error) { return 1, nil }
func (s *sink) FlushError() error                 { return nil }

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	below := &sink{header: http.Header{}}
	body := []byte("body")
	owner := new(struct{ w respwriter.Writer })
	got := testing.AllocsPerRun(100, func() {
		w := &owner.w
		w.Init(below)
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(body)
		_, _ = io.WriteString(w, "body")
		_, _ = w.ReadFrom(http.NoBody)
		_ = http.NewResponseController(w).Flush()
		_, _, _ = w.Status(), w.Bytes(), w.WroteHeader()
	})
	if got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

func BenchmarkWrite(b *testing.B) {
	body := []byte("body")
	run := func(b *testing.B, rw http.ResponseWriter) {
		b.ReportAllocs()
		for b.Loop() {
			rw.WriteHeader(http.StatusOK)
			_, _ = rw.Write(body)
		}
	}
	b.Run("bare", func(b *testing.B) { run(b, &sink{}) })
	b.Run("wrapped", func(b *testing.B) {
		var w respwriter.Writer
		w.Init(&sink{})
		run(b, &w)
	})
}
