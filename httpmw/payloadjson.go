// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// excerpt is the beginning of a body, and the size of the whole. A transport may
// still read a request's body when the response is over, so it takes a lock.
type excerpt struct {
	max int

	mu   sync.Mutex
	kept []byte
	size int64
}

func (e *excerpt) add(p []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.size += int64(len(p))
	e.kept = append(e.kept, p[:max(0, min(len(p), e.max-len(e.kept)))]...)
}

// skip counts bytes that went by unseen.
func (e *excerpt) skip(n int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.size += n
}

func (e *excerpt) get() (kept []byte, size int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.kept), e.size
}

// bodyKind is what a body's header says about showing it.
type bodyKind int

const (
	otherBody bodyKind = iota
	jsonBody
	formBody
	textBody
)

func kindOf(h http.Header) bodyKind {
	if h.Get("Content-Encoding") != "" {
		return otherBody
	}
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	typ, subtype, _ := strings.Cut(mediaType, "/")
	switch {
	case err != nil:
		return otherBody
	case isJSON(typ, subtype):
		return jsonBody
	case mediaType == "application/x-www-form-urlencoded":
		return formBody
	case typ == "text":
		return textBody
	default:
		return otherBody
	}
}

// appendContent appends a body's type, its size in bytes and what may be shown
// of it.
func (p *payloads) appendContent(attrs []slog.Attr, header http.Header, body *excerpt) []slog.Attr {
	kept, size := body.get()
	if t := header.Get("Content-Type"); t != "" {
		attrs = append(attrs, slog.String("content_type", t))
	}
	attrs = append(attrs, slog.Int64("bytes", size))
	kind := kindOf(header)
	if kind == otherBody || size == 0 {
		return attrs
	}
	truncated := int64(len(kept)) < size
	shown, ok := p.content(kind, kept, truncated)
	switch {
	case ok:
		attrs = append(attrs, shown)
	case !truncated:
		attrs = append(attrs, slog.String("payload_error", "not JSON"))
	}
	if truncated {
		attrs = append(attrs, slog.Bool("truncated", true))
	}
	return attrs
}

// content returns what may be shown of a body, if anything.
func (p *payloads) content(kind bodyKind, kept []byte, truncated bool) (slog.Attr, bool) {
	if len(kept) == 0 {
		return slog.Attr{}, false
	}
	if kind == jsonBody || looksJSON(kept) {
		if truncated {
			return slog.Attr{}, false
		}
		tree, err := decode(kept)
		return p.redactor.Attr(treeAttr("payload", tree)), err == nil
	}
	text := string(kept)
	if kind == formBody {
		text = p.redactor.Query(text)
	}
	return slog.String("payload", strings.ToValidUTF8(text, "\uFFFD")), true
}

// looksJSON reports whether text that goes under another type may be JSON all the
// same, with secrets to be found in it: curl -d calls it a form.
func looksJSON(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && (text[0] == '{' || text[0] == '[')
}

// decode decodes one JSON value with its numbers as they stand.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return tree, nil
}

// treeAttr makes groups of objects, so that redaction sees their keys. An empty
// group would not be logged.
func treeAttr(key string, v any) slog.Attr {
	object, ok := v.(map[string]any)
	if !ok || len(object) == 0 {
		return slog.Any(key, v)
	}
	members := make([]slog.Attr, 0, len(object))
	for _, k := range slices.Sorted(maps.Keys(object)) {
		members = append(members, treeAttr(k, object[k]))
	}
	return slog.GroupAttrs(key, members...)
}
