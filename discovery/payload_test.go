// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/discovery"
)

// TestPayloadIsTheFormat holds the text itself: registries are full of it.
func TestPayloadIsTheFormat(t *testing.T) {
	in := discovery.Instance{
		Namespace: prod, Service: "order", Address: "[2001:DB8::1]:8443", Zone: "eu", Version: "1.2+dirty",
		Tags: []string{"grpc", "canary", "grpc"}, Metadata: map[string]string{"b": "2", "a": `"1" <ü>`}, Health: discovery.HealthPassing,
	}
	const want = `{"v":1,"namespace":"prod","service":"order","id":"order@2001:db8::1:8443","address":"[2001:db8::1]:8443","zone":"eu","weight":1,"version":"1.2+dirty",` +
		`"tags":["canary","grpc"],"metadata":{"a":"\"1\" \u003cü\u003e","b":"2"},"health":"passing"}`
	text := must[[]byte](t)(discovery.EncodeInstance(in))
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	normal := must[discovery.Instance](t)(in.Normalized())
	if diff := cmp.Diff(normal, must[discovery.Instance](t)(discovery.DecodeInstance(text))); diff != "" {
		t.Errorf("decoded, it is another: %s", diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := string(must[[]byte](t)(discovery.EncodeInstance(order(1))))
	for _, tc := range []struct{ name, text, want string }{
		{"nothing", "", "unexpected end"},
		{"something else", "10.0.0.1:80", "invalid character"},
		{"more than one", good + good, "after top-level value"},
		{"no version", strings.Replace(good, `"v":1,`, "", 1), "payload version 0: must be 1"},
		{"another version", strings.Replace(good, `"v":1`, `"v":2`, 1), "payload version 2: must be 1"},
		{"no id", strings.Replace(good, `"id":"order-00001"`, `"id":""`, 1), `payload id "": must not be empty`},
		{"port 0", strings.Replace(good, ":8443", ":0", 1), "must not have port 0"},
		{"namespace", strings.Replace(good, `"prod"`, `"prod/../x"`, 1), "namespace"},
		{"health", strings.Replace(good, `"passing"`, `"fine"`, 1), `health "fine": must be unknown, passing, failing or leaving`},
		{"weight", strings.Replace(good, `"weight":1`, `"weight":65536`, 1), "weight 65536: must be from 1 to 65535"},
		{"size", `{"v":1,"zone":"` + strings.Repeat("x", 128<<10) + `"}`, "must have at most"},
	} {
		if in, err := discovery.DecodeInstance([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, %v, want an error with %q", tc.name, in, err, tc.want)
		}
	}
}

// TestDecodeIgnoresWhatIsNew: a field that a later release adds is no reason to lose
// an instance.
func TestDecodeIgnoresWhatIsNew(t *testing.T) {
	text := must[[]byte](t)(discovery.EncodeInstance(order(1)))
	later := append([]byte(`{"region":{"x":[1]},`), text[1:]...)
	if got := must[discovery.Instance](t)(discovery.DecodeInstance(later)); got.ID != order(1).ID {
		t.Errorf("got %v", got)
	}
}

func FuzzDecodeInstance(f *testing.F) {
	in := order(1)
	in.Tags = []string{"canary"}
	text, _ := discovery.EncodeInstance(in)
	for _, seed := range []string{string(text), "", "{}", `{"v":1}`, `{"v":1,"namespace":"prod","service":"a","id":"b","address":"C.:080","weight":0,"tags":["x","x"]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		in, err := discovery.DecodeInstance(text)
		if err != nil {
			return
		}
		normal, err := in.Normalized()
		if err != nil || !cmp.Equal(normal, in) {
			t.Fatalf("what was decoded is not normal: %v, %v", in, err)
		}
		again, err := discovery.EncodeInstance(in)
		if err != nil || !utf8.Valid(again) || bytes.ContainsAny(again, "\n\r") || !json.Valid(again) {
			t.Fatalf("cannot be encoded: %q, %v", again, err)
		}
		back, err := discovery.DecodeInstance(again)
		if err != nil || !cmp.Equal(back, in) || !back.Equal(&in) {
			t.Fatalf("round trip: %v, %v, %v", in, back, err)
		}
		k, err := discovery.ParseKey(in.Key().String())
		if err != nil || k != in.Key() {
			t.Fatalf("key round trip: %v, %v", k, err)
		}
	})
}

func BenchmarkDecodeInstance(b *testing.B) {
	text, _ := discovery.EncodeInstance(order(1))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := discovery.DecodeInstance(text); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleEncodeInstance() {
	text, err := discovery.EncodeInstance(discovery.Instance{Namespace: "prod", Service: "order", Address: "10.0.0.7:8443"})
	fmt.Println(string(text), err)
	// Output:
	// {"v":1,"namespace":"prod","service":"order","id":"order@10.0.0.7:8443","address":"10.0.0.7:8443","weight":1,"health":"unknown"} <nil>
}
