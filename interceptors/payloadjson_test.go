// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/logging"
)

// TestPayloadContent: a protobuf message by its fields, anything else by its type.
func TestPayloadContent(t *testing.T) {
	nested, err := structpb.NewStruct(map[string]any{"sku": "a-1", "password": "hunter2", "tags": []any{"x", map[string]any{"token": "t"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		m    any
		want map[string]any
	}{
		{"fields", &testgrpc.SimpleRequest{ResponseSize: 7, FillUsername: true, Payload: &testgrpc.Payload{Body: []byte("hi")}}, map[string]any{
			"message_type": "grpc.testing.SimpleRequest", "bytes": 10.0,
			"payload": map[string]any{"response_size": 7.0, "fill_username": true, "payload": map[string]any{"body": "aGk="}},
		}},
		{"empty", &testgrpc.Empty{}, map[string]any{"message_type": "grpc.testing.Empty", "bytes": 0.0}},
		{"secrets, deep down", nested, map[string]any{
			"message_type": "google.protobuf.Struct", "bytes": float64(proto.Size(nested)),
			"payload": map[string]any{"sku": "a-1", "password": "[REDACTED]", "tags": []any{"x", map[string]any{"token": "[REDACTED]"}}},
		}},
		{"what JSON has no form for", timestamppb.New(timestamppb.Now().AsTime().Truncate(0).AddDate(-3000, 0, 0)), map[string]any{
			"message_type": "google.protobuf.Timestamp", "payload_error": "",
		}},
		{"a scalar", structpb.NewStringValue("x"), map[string]any{"message_type": "google.protobuf.Value", "bytes": 3.0, "payload": "x"}},
		{"no protobuf", struct{ Password string }{"hunter2"}, map[string]any{"message_type": "struct { Password string }"}},
		{"nothing", nil, map[string]any{"message_type": "<nil>"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := logged(t, tc.m)
			if text, ok := got["payload_error"].(string); ok && tc.want["payload_error"] == "" {
				if text == "" {
					t.Error("an error without text")
				}
				return
			}
			for _, key := range []string{"time", "level", "msg", "rpc.method", "side", "direction"} {
				delete(got, key)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPayloadIsBounded: what is shown of a message has a limit, and one that is
// far too large is not looked into.
func TestPayloadIsBounded(t *testing.T) {
	many := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for _, k := range strings.Split(strings.Repeat("k", 100), "") {
		many.Fields[k+strings.Repeat("x", len(many.Fields))] = structpb.NewStringValue(strings.Repeat("é", 50))
	}
	long, err := structpb.NewStruct(map[string]any{"a": strings.Repeat("é", 100), "b": strings.Repeat("x", 3000)})
	if err != nil {
		t.Fatal(err)
	}
	list := &structpb.ListValue{}
	for range 300 {
		list.Values = append(list.Values, structpb.NewNumberValue(1))
	}
	for _, tc := range []struct {
		name      string
		m         proto.Message
		max       int
		truncated bool
		shown     bool
	}{
		{"fits", long, 1 << 20, false, true},
		{"long text", long, 301, true, true},
		{"many fields", many, 1500, true, true},
		{"long list", list, 600, false, true},
		{"longer list", list, 599, true, true},
		{"far too large", long, 100, true, false},
		{"none wanted", long, 0, true, false},
		{"less than none", long, -1, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			line := logged(t, tc.m, interceptors.WithMaxPayloadBytes(tc.max))
			if got := line["truncated"] == true; got != tc.truncated {
				t.Errorf("truncated: %v, want %v", got, tc.truncated)
			}
			if got := line["payload"] != nil; got != tc.shown {
				t.Errorf("shown: %v, want %v", got, tc.shown)
			}
			if line["bytes"] != float64(proto.Size(tc.m)) {
				t.Errorf("bytes %v, want %d", line["bytes"], proto.Size(tc.m))
			}
			text, err := json.Marshal(line["payload"])
			if err != nil {
				t.Fatal(err)
			}
			if limit := max(3*tc.max, 10) + 50; tc.truncated && len(text) > limit || strings.Contains(string(text), `\ufffd`) {
				t.Errorf("%d bytes shown for a limit of %d: %.100s", len(text), tc.max, text)
			}
		})
	}
}

// marked makes a message type with a field that its .proto marks:
//
//	message Card { string pin = 1 [debug_redact = true]; string note = 2; }
//	message Order {
//	  string note = 1; Card card = 2; repeated Card cards = 3;
//	  map<string, Card> by_name = 4; google.protobuf.Any any = 5; repeated string pins = 6 [debug_redact = true];
//	}
func marked(t *testing.T) (card, order protoreflect.MessageType) {
	t.Helper()
	field := func(name string, n int32, typ descriptorpb.FieldDescriptorProto_Type, repeated, redact bool, of string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{
			Name: &name, Number: &n, Type: &typ, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			Options: &descriptorpb.FieldOptions{DebugRedact: &redact},
		}
		if repeated {
			f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		}
		if of != "" {
			f.TypeName = &of
		}
		return f
	}
	const text, message = descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("fairlead_payload_test.proto"), Package: proto.String("fairlead.test"), Syntax: proto.String("proto3"),
		Dependency: []string{"google/protobuf/any.proto"},
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: proto.String("Card"), Field: []*descriptorpb.FieldDescriptorProto{
				field("pin", 1, text, false, true, ""), field("note", 2, text, false, false, ""),
			}},
			{Name: proto.String("Order"), Field: []*descriptorpb.FieldDescriptorProto{
				field("note", 1, text, false, false, ""),
				field("card", 2, message, false, false, ".fairlead.test.Card"),
				field("cards", 3, message, true, false, ".fairlead.test.Card"),
				field("by_name", 4, message, true, false, ".fairlead.test.Order.ByNameEntry"),
				field("any", 5, message, false, false, ".google.protobuf.Any"),
				field("pins", 6, text, true, true, ""),
			}, NestedType: []*descriptorpb.DescriptorProto{
				{Name: proto.String("ByNameEntry"), Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)}, Field: []*descriptorpb.FieldDescriptorProto{
					field("key", 1, text, false, false, ""), field("value", 2, message, false, false, ".fairlead.test.Card"),
				}},
			}},
		},
	}, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	card, order = dynamicpb.NewMessageType(file.Messages().Get(0)), dynamicpb.NewMessageType(file.Messages().Get(1))
	if _, err := protoregistry.GlobalTypes.FindMessageByName("fairlead.test.Card"); err != nil {
		if err := protoregistry.GlobalTypes.RegisterMessage(card); err != nil {
			t.Fatal(err)
		}
	}
	return card, order
}

// TestMarkedFieldsAreHidden: what a .proto file marks with debug_redact is not
// shown, however deep.
func TestMarkedFieldsAreHidden(t *testing.T) {
	cardType, orderType := marked(t)
	newCard := func() protoreflect.Message {
		c := cardType.New()
		c.Set(c.Descriptor().Fields().ByName("pin"), protoreflect.ValueOfString("1234"))
		c.Set(c.Descriptor().Fields().ByName("note"), protoreflect.ValueOfString("shown"))
		return c
	}
	o := orderType.New()
	fields := o.Descriptor().Fields()
	o.Set(fields.ByName("note"), protoreflect.ValueOfString("shown"))
	o.Set(fields.ByName("card"), protoreflect.ValueOfMessage(newCard()))
	o.Mutable(fields.ByName("cards")).List().Append(protoreflect.ValueOfMessage(newCard()))
	o.Mutable(fields.ByName("by_name")).Map().Set(protoreflect.ValueOfString("pin").MapKey(), protoreflect.ValueOfMessage(newCard()))
	o.Mutable(fields.ByName("pins")).List().Append(protoreflect.ValueOfString("1234"))
	packed, err := anypb.New(newCard().Interface())
	if err != nil {
		t.Fatal(err)
	}
	wire, err := proto.Marshal(packed)
	if err != nil {
		t.Fatal(err)
	}
	held := o.Mutable(fields.ByName("any")).Message().Interface()
	if err := proto.Unmarshal(wire, held); err != nil {
		t.Fatal(err)
	}
	// Nothing is redacted by name here.
	redactor, err := logging.NewRedactor(logging.WithoutDefaultKeys())
	if err != nil {
		t.Fatal(err)
	}
	line := logged(t, o.Interface(), interceptors.WithPayloadRedactor(redactor))
	hidden := map[string]any{"pin": "[REDACTED]", "note": "shown"}
	want := map[string]any{
		"note": "shown", "card": hidden, "cards": []any{hidden}, "by_name": map[string]any{"pin": hidden},
		"any":  map[string]any{"@type": "type.googleapis.com/fairlead.test.Card", "pin": "[REDACTED]", "note": "shown"},
		"pins": "[REDACTED]",
	}
	if diff := cmp.Diff(want, line["payload"]); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

// TestPayloadRedactor: one's own list of names, and no way to have none by
// accident.
func TestPayloadRedactor(t *testing.T) {
	own, err := logging.NewRedactor(logging.WithRedactedKeys("username"))
	if err != nil {
		t.Fatal(err)
	}
	m := &testgrpc.SimpleResponse{Username: "ada", OauthScope: "all"}
	line := logged(t, m, interceptors.WithPayloadRedactor(own))
	if got := line["payload"].(map[string]any)["username"]; got != "[REDACTED]" {
		t.Errorf("username = %v", got)
	}
	secret, err := structpb.NewStruct(map[string]any{"password": "hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	line = logged(t, secret, interceptors.WithPayloadRedactor(nil))
	if got := line["payload"].(map[string]any)["password"]; got != "[REDACTED]" {
		t.Errorf("password = %v", got)
	}
}
