// SPDX-License-Identifier: Apache-2.0

package respwriter_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/internal/respwriter"
)

// seen is what a Writer remembers.
type seen struct {
	Status   int
	Bytes    int64
	Wrote    bool
	Hijacked bool
}

func look(w *respwriter.Writer) seen {
	return seen{w.Status(), w.Bytes(), w.WroteHeader(), w.Hijacked()}
}

// readerFrom is a writer below that remembers the source it was handed.
type readerFrom struct {
	*httptest.ResponseRecorder
	src io.Reader
}

func (r *readerFrom) ReadFrom(src io.Reader) (int64, error) {
	r.src = src
	return io.Copy(r.ResponseRecorder, src)
}

// bare has the three methods of a ResponseWriter and no more.
type bare struct{ http.ResponseWriter }

func TestWriterRemembers(t *testing.T) {
	errRead := errors.New("read")
	tests := []struct {
		name    string
		handler func(w *respwriter.Writer)
		want    seen
	}{
		{"nothing", func(*respwriter.Writer) {}, seen{Status: 200}},
		{"only headers", func(w *respwriter.Writer) { w.Header().Set("A", "b") }, seen{Status: 200}},
		{"status", func(w *respwriter.Writer) { w.WriteHeader(404) }, seen{Status: 404, Wrote: true}},
		{"first status counts", func(w *respwriter.Writer) { w.WriteHeader(404); w.WriteHeader(500) }, seen{Status: 404, Wrote: true}},
		{"write then status", func(w *respwriter.Writer) { _, _ = w.Write([]byte("ab")); w.WriteHeader(500) }, seen{Status: 200, Bytes: 2, Wrote: true}},
		{"empty write sends the header", func(w *respwriter.Writer) { _, _ = w.Write(nil) }, seen{Status: 200, Wrote: true}},
		{"write string", func(w *respwriter.Writer) { _, _ = w.WriteString("abc") }, seen{Status: 200, Bytes: 3, Wrote: true}},
		{"early hints are not final", func(w *respwriter.Writer) { w.WriteHeader(103); w.WriteHeader(102) }, seen{Status: 200}},
		{"early hints, then final", func(w *respwriter.Writer) { w.WriteHeader(103); w.WriteHeader(201) }, seen{Status: 201, Wrote: true}},
		{"switching protocols is final", func(w *respwriter.Writer) { w.WriteHeader(101); w.WriteHeader(500) }, seen{Status: 101, Wrote: true}},
		{"flush sends the header", func(w *respwriter.Writer) { w.Flush() }, seen{Status: 200, Wrote: true}},
		{"read from", func(w *respwriter.Writer) { _, _ = w.ReadFrom(strings.NewReader("abcd")) }, seen{Status: 200, Bytes: 4, Wrote: true}},
		{"copy", func(w *respwriter.Writer) { _, _ = io.Copy(w, io.LimitReader(strings.NewReader("abcd"), 3)) }, seen{Status: 200, Bytes: 3, Wrote: true}},
		{"empty source leaves the header open", func(w *respwriter.Writer) {
			_, _ = w.ReadFrom(strings.NewReader(""))
			w.WriteHeader(404)
		}, seen{Status: 404, Wrote: true}},
		{"failed source leaves the header open", func(w *respwriter.Writer) { _, _ = w.ReadFrom(iotest.ErrReader(errRead)) }, seen{Status: 200}},
		{"source that fails later", func(w *respwriter.Writer) {
			_, _ = w.ReadFrom(io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(errRead)))
		}, seen{Status: 200, Bytes: 2, Wrote: true}},
		{"source that panics", func(w *respwriter.Writer) {
			defer func() { _ = recover() }()
			_, _ = w.ReadFrom(io.MultiReader(strings.NewReader("ab"), panicReader{}))
		}, seen{Status: 200, Wrote: true}},
		{"invalid status answers nothing", func(w *respwriter.Writer) {
			defer func() { _ = recover() }()
			w.WriteHeader(7)
		}, seen{Status: 200}},
		{"no hijack to be had", func(w *respwriter.Writer) { _, _, _ = w.Hijack() }, seen{Status: 200}},
		{"init forgets", func(w *respwriter.Writer) {
			_, _ = w.WriteString("abc")
			w.Init(httptest.NewRecorder())
		}, seen{Status: 200}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var w respwriter.Writer
			w.Init(&readerFrom{ResponseRecorder: httptest.NewRecorder()})
			tc.handler(&w)
			if got := look(&w); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("read") }

func TestReadFromKeepsTheSource(t *testing.T) {
	below := &readerFrom{ResponseRecorder: httptest.NewRecorder()}
	var w respwriter.Writer
	w.Init(below)
	src := struct{ io.Reader }{strings.NewReader("abc")} // no WriterTo
	if n, err := io.Copy(&w, src); n != 3 || err != nil {
		t.Fatalf("io.Copy = %d, %v; want 3, nil", n, err)
	}
	if below.src != io.Reader(src) {
		t.Errorf("the writer below was handed %T, want the handler's own source", below.src)
	}
}

func TestReadFromWithoutReaderFrom(t *testing.T) {
	rec := httptest.NewRecorder()
	var w respwriter.Writer
	w.Init(bare{rec})
	if _, err := w.ReadFrom(strings.NewReader("")); err != nil || w.WroteHeader() {
		t.Fatalf("empty source: err %v, wrote %v; want nil, false", err, w.WroteHeader())
	}
	n, err := w.ReadFrom(struct{ io.Reader }{strings.NewReader("abcde")})
	if n != 5 || err != nil {
		t.Fatalf("ReadFrom = %d, %v; want 5, nil", n, err)
	}
	if got, want := look(&w), (seen{Status: 200, Bytes: 5, Wrote: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := rec.Body.String(); got != "abcde" {
		t.Errorf("body %q, want %q", got, "abcde")
	}
}

func TestUnsupported(t *testing.T) {
	var w respwriter.Writer
	w.Init(bare{httptest.NewRecorder()})
	if err := w.FlushError(); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("FlushError = %v, want ErrNotSupported", err)
	}
	if _, _, err := w.Hijack(); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("Hijack = %v, want ErrNotSupported", err)
	}
	if w.WroteHeader() {
		t.Error("the answer counts as begun after a flush and a hijack that did nothing")
	}
}

func TestInvalidStatusPanicsAsBelow(t *testing.T) {
	var w respwriter.Writer
	w.Init(httptest.NewRecorder())
	defer func() {
		if got := recover(); got == nil {
			t.Error("no panic for status 7")
		}
	}()
	w.WriteHeader(7)
}

// A library may wrap our Writer and look for the first byte through Unwrap, and
// we may lie above such a wrapper.
func TestFlushAndHijackThroughUnwrap(t *testing.T) {
	rec := httptest.NewRecorder()
	var w respwriter.Writer
	w.Init(unwrapper{bare{rec}, rec})
	if err := w.FlushError(); err != nil {
		t.Errorf("FlushError = %v, want nil", err)
	}
	if !rec.Flushed || !w.WroteHeader() {
		t.Errorf("flushed %v, wrote %v; want true, true", rec.Flushed, w.WroteHeader())
	}
}

type unwrapper struct {
	bare
	below http.ResponseWriter
}

func (u unwrapper) Unwrap() http.ResponseWriter { return u.below }

// owner notes what it is told before the header goes out, and adds to the header.
type owner struct {
	w    *respwriter.Writer
	told []int
}

func (o *owner) BeforeHeader(code int) {
	o.told = append(o.told, code)
	o.w.Header().Set("X-Late", "1")
}

// TestOwnerIsToldBeforeTheHeader, however that goes out, and not of what is none.
func TestOwnerIsToldBeforeTheHeader(t *testing.T) {
	errRead := errors.New("read")
	for _, tc := range []struct {
		name    string
		handler func(w *respwriter.Writer)
		told    []int
		late    string // as the peer has it
	}{
		{"nothing", func(*respwriter.Writer) {}, nil, ""},
		{"status", func(w *respwriter.Writer) { w.WriteHeader(404) }, []int{404}, "1"},
		{"once", func(w *respwriter.Writer) { w.WriteHeader(404); w.WriteHeader(500); _, _ = w.Write(nil); w.Flush() }, []int{404}, "1"},
		{"early hints are not it", func(w *respwriter.Writer) { w.WriteHeader(103); w.WriteHeader(201) }, []int{201}, ""}, // httptest takes the hint for the header
		{"write", func(w *respwriter.Writer) { _, _ = w.Write([]byte("a")) }, []int{200}, "1"},
		{"write string", func(w *respwriter.Writer) { _, _ = w.WriteString("a") }, []int{200}, "1"},
		{"flush", func(w *respwriter.Writer) { w.Flush() }, []int{200}, "1"},
		{"read from", func(w *respwriter.Writer) { _, _ = w.ReadFrom(strings.NewReader("a")) }, []int{200}, "1"},
		{"read from nothing, then a status", func(w *respwriter.Writer) {
			_, _ = w.ReadFrom(iotest.ErrReader(errRead))
			w.WriteHeader(500)
		}, []int{200, 500}, "1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := &owner{w: new(respwriter.Writer)}
			below := &readerFrom{ResponseRecorder: httptest.NewRecorder()}
			o.w.Init(below)
			o.w.SetOwner(o)
			tc.handler(o.w)
			if diff := cmp.Diff(tc.told, o.told); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if got := below.Result().Header.Get("X-Late"); got != tc.late {
				t.Errorf("X-Late %q, want %q", got, tc.late)
			}
		})
	}
}

// TestOwnerOfWhatCannotFlush: the header has not gone out, and is told of again.
func TestOwnerOfWhatCannotFlush(t *testing.T) {
	o := &owner{w: new(respwriter.Writer)}
	o.w.Init(bare{httptest.NewRecorder()})
	o.w.SetOwner(o)
	o.w.Flush()
	if o.w.WroteHeader() {
		t.Error("an answer has begun")
	}
	o.w.WriteHeader(404)
	if diff := cmp.Diff([]int{200, 404}, o.told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}
