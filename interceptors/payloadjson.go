// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/fairlead-go/fairlead/logging"
)

// maxExpansion is how much larger on the wire than what may be shown a message
// is that is still looked into.
const maxExpansion = 16

// appendContent appends the size of m in bytes and what may be shown of it.
func (p *Payloads) appendContent(attrs []slog.Attr, m proto.Message) []slog.Attr {
	n := proto.Size(m)
	attrs = append(attrs, slog.Int("bytes", n))
	if p.maxBytes <= 0 || n/maxExpansion > p.maxBytes {
		return append(attrs, slog.Bool("truncated", true))
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true, AllowPartial: true}.Marshal(m)
	if err != nil {
		return append(attrs, slog.String("payload_error", err.Error()))
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return append(attrs, slog.String("payload_error", err.Error()))
	}
	hideMarked(tree, m.ProtoReflect().Descriptor())
	room := room{left: p.maxBytes}
	attrs = append(attrs, p.redactor.Attr(treeAttr("payload", room.cut(tree))))
	if room.left < 0 {
		attrs = append(attrs, slog.Bool("truncated", true))
	}
	return attrs
}

// treeAttr makes groups of objects, so that redaction sees their keys.
func treeAttr(key string, v any) slog.Attr {
	object, ok := v.(map[string]any)
	if !ok {
		return slog.Any(key, v)
	}
	members := make([]slog.Attr, 0, len(object))
	for _, k := range slices.Sorted(maps.Keys(object)) {
		members = append(members, treeAttr(k, object[k]))
	}
	return slog.GroupAttrs(key, members...)
}

// room is how many bytes may still be shown; negative once some were not.
type room struct{ left int }

// cut returns what of v fits.
func (r *room) cut(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if r.take(len(k)) {
				out[k] = r.cut(v[k])
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			if !r.take(1) {
				break
			}
			out = append(out, r.cut(e))
		}
		return out
	case string:
		if r.left < len(v) {
			v, r.left = strings.ToValidUTF8(v[:max(r.left, 0)], ""), -1
			return v
		}
		r.take(len(v))
		return v
	default:
		r.take(1)
		return v
	}
}

// take uses up n bytes, or reports false if there is no room for them.
func (r *room) take(n int) bool {
	if r.left < n {
		r.left = -1
		return false
	}
	r.left -= n
	return true
}

// hideMarked replaces in v, the JSON of a message, the fields that its .proto
// file marks with debug_redact. A message of nil stands for scalars.
func hideMarked(v any, message protoreflect.MessageDescriptor) {
	object, ok := v.(map[string]any)
	if !ok || message == nil {
		return
	}
	if message.FullName() == "google.protobuf.Any" {
		url, _ := object["@type"].(string)
		t, err := protoregistry.GlobalTypes.FindMessageByURL(url)
		if err != nil {
			return
		}
		message = t.Descriptor()
	}
	for name, value := range object {
		field := fieldNamed(message, name)
		switch {
		case field == nil:
		case isMarked(field):
			object[name] = logging.Redacted
		case field.IsMap():
			values, _ := value.(map[string]any)
			for _, e := range values {
				hideMarked(e, field.MapValue().Message())
			}
		case field.IsList():
			values, _ := value.([]any)
			for _, e := range values {
				hideMarked(e, field.Message())
			}
		default:
			hideMarked(value, field.Message())
		}
	}
}

// fieldNamed returns the field that protojson calls name, or nil.
func fieldNamed(message protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if full, ok := strings.CutPrefix(name, "["); ok {
		x, err := protoregistry.GlobalTypes.FindExtensionByName(protoreflect.FullName(strings.TrimSuffix(full, "]")))
		if err != nil {
			return nil
		}
		return x.TypeDescriptor()
	}
	return message.Fields().ByTextName(name)
}

func isMarked(field protoreflect.FieldDescriptor) bool {
	opts, ok := field.Options().(*descriptorpb.FieldOptions)
	return ok && opts.GetDebugRedact()
}
