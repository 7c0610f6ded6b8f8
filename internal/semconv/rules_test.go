// SPDX-License-Identifier: Apache-2.0

package semconv_test

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/fairlead-go/fairlead/internal/semconv"
)

// upperSnake writes Go's name of a code as the conventions do.
func upperSnake(name string) string {
	if name == "OK" {
		return name
	}
	if name == "Canceled" {
		return "CANCELLED" // gRPC spells it with two
	}
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}

func TestGRPCCode(t *testing.T) {
	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		if got, want := semconv.GRPCCode(uint32(code)), upperSnake(code.String()); got != want {
			t.Errorf("GRPCCode(%d) = %q, want %q", code, got, want)
		}
	}
	for _, code := range []uint32{uint32(semconv.GRPCCodes), 99, math.MaxUint32} {
		if got := semconv.GRPCCode(code); got != semconv.Other {
			t.Errorf("GRPCCode(%d) = %q", code, got)
		}
	}
	if semconv.GRPCCodes != int(codes.Unauthenticated)+1 {
		t.Errorf("%d codes", semconv.GRPCCodes)
	}
}

// TestRPCErrorType follows the table of
// https://opentelemetry.io/docs/specs/semconv/rpc/grpc/.
func TestRPCErrorType(t *testing.T) {
	faults := map[codes.Code]bool{
		codes.Unknown: true, codes.DeadlineExceeded: true, codes.Unimplemented: true,
		codes.Internal: true, codes.Unavailable: true, codes.DataLoss: true, 17: true,
	}
	for code := codes.OK; code <= 17; code++ {
		name := semconv.GRPCCode(uint32(code))
		server, client := "", name
		if faults[code] {
			server = name
		}
		if code == codes.OK {
			client = ""
		}
		if got := semconv.RPCErrorType(true, uint32(code)); got != server {
			t.Errorf("%v on a server: %q, want %q", code, got, server)
		}
		if got := semconv.RPCErrorType(false, uint32(code)); got != client {
			t.Errorf("%v on a client: %q, want %q", code, got, client)
		}
		if got := semconv.ServerFault(uint32(code)); got != faults[code] {
			t.Errorf("ServerFault(%v) = %v", code, got)
		}
	}
	if !semconv.ServerFault(1 << 31) {
		t.Error("a code without a name is no fault")
	}
}

func TestRPCMethod(t *testing.T) {
	for _, tc := range []struct{ full, method, service, name string }{
		{"/shop.Order/Get", "shop.Order/Get", "shop.Order", "Get"},
		{"shop.Order/Get", "shop.Order/Get", "shop.Order", "Get"},
		{"/a/b/c", "a/b/c", "a/b", "c"},
		{"/alone", "alone", "", "alone"},
		{"//Get", "/Get", "", "Get"},
		{"/shop.Order/", "shop.Order/", "shop.Order", ""},
		{"", "", "", ""},
	} {
		if got := semconv.RPCMethod(tc.full); got != tc.method {
			t.Errorf("RPCMethod(%q) = %q, want %q", tc.full, got, tc.method)
		}
		if service, name := semconv.SplitRPCMethod(tc.full); service != tc.service || name != tc.name {
			t.Errorf("SplitRPCMethod(%q) = %q, %q, want %q, %q", tc.full, service, name, tc.service, tc.name)
		}
	}
	var got []string
	for _, kv := range semconv.OldRPCAttributes("shop.Order/Get") {
		got = append(got, string(kv.Key)+"="+kv.Value.AsString())
	}
	if diff := cmp.Diff([]string{"rpc.system=grpc", "rpc.service=shop.Order", "rpc.method=Get"}, got); diff != "" {
		t.Errorf("old attributes (-want +got):\n%s", diff)
	}
}

func TestParseRPCMode(t *testing.T) {
	for _, tc := range []struct {
		value    string
		want     semconv.RPCMode
		isNew    bool
		isOld    bool
		comments string
	}{
		{"", semconv.RPCNew, true, false, "the default"},
		{"rpc", semconv.RPCNew, true, false, "asks for what is the default"},
		{"http/dup", semconv.RPCNew, true, false, "another area"},
		{"rpc/dup", semconv.RPCDup, true, true, ""},
		{"rpc/old", semconv.RPCOld, false, true, ""},
		{"http, rpc/old ,database", semconv.RPCOld, false, true, "one of several, with spaces"},
		{"rpc/old,rpc/dup", semconv.RPCOld, false, true, "the first one decides"},
		{"RPC/OLD", semconv.RPCNew, true, false, "values have a case"},
		{"rpc/older", semconv.RPCNew, true, false, "unknown"},
	} {
		got := semconv.ParseRPCMode(tc.value)
		if got != tc.want || got.New() != tc.isNew || got.Old() != tc.isOld {
			t.Errorf("ParseRPCMode(%q) = %d, new %v, old %v: %s", tc.value, got, got.New(), got.Old(), tc.comments)
		}
	}
	t.Setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "rpc/dup")
	if semconv.RPCModeFromEnv() != semconv.RPCDup {
		t.Error("the environment is not read")
	}
}

func TestHTTPMethods(t *testing.T) {
	standard := semconv.NewHTTPMethods()
	for in, want := range map[string]string{
		"GET": "GET", "": "GET", "QUERY": "QUERY", "PATCH": "PATCH", "get": "_OTHER", "PROPFIND": "_OTHER", "_OTHER": "_OTHER",
	} {
		if got := standard.Name(in); got != want {
			t.Errorf("Name(%q) = %q, want %q", in, got, want)
		}
	}
	if standard.Len() != 11 {
		t.Errorf("%d names, want ten and _OTHER", standard.Len())
	}
	var none semconv.HTTPMethods
	if none.Name("GET") != "_OTHER" || none.Len() != 1 {
		t.Error("the zero value knows a method")
	}
	t.Setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", " PROPFIND,, MKCOL ")
	own := semconv.HTTPMethodsFromEnv()
	if own.Name("MKCOL") != "MKCOL" || own.Name("GET") != "_OTHER" || own.Name("") != "_OTHER" || own.Len() != 3 {
		t.Error("the environment does not replace the list")
	}
	t.Setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "")
	if semconv.HTTPMethodsFromEnv().Name("GET") != "GET" {
		t.Error("an empty variable is not the default")
	}
}

func TestHTTPNames(t *testing.T) {
	for _, tc := range []struct{ pattern, route string }{
		{"/orders/{id}", "/orders/{id}"},
		{"GET /orders/{id}", "/orders/{id}"},
		{"GET example.com/orders/", "/orders/"},
		{"example.com/", "/"},
		{"", ""},
		{"GET", ""},
	} {
		if got := semconv.HTTPRoute(tc.pattern); got != tc.route {
			t.Errorf("HTTPRoute(%q) = %q, want %q", tc.pattern, got, tc.route)
		}
	}
	for _, tc := range []struct{ method, route, want string }{
		{"GET", "/orders/{id}", "GET /orders/{id}"},
		{"GET", "", "GET"},
		{"_OTHER", "/orders/{id}", "HTTP /orders/{id}"},
		{"_OTHER", "", "HTTP"},
	} {
		if got := semconv.HTTPSpanName(tc.method, tc.route); got != tc.want {
			t.Errorf("HTTPSpanName(%q, %q) = %q, want %q", tc.method, tc.route, got, tc.want)
		}
	}
}

func TestHTTPErrorType(t *testing.T) {
	for status := -1; status < 1001; status++ {
		server, client := "", ""
		if status >= http.StatusInternalServerError && status < 600 {
			server = strconv.Itoa(status)
		}
		if status >= http.StatusBadRequest && status < 600 {
			client = strconv.Itoa(status)
		}
		if got := semconv.HTTPErrorType(true, status); got != server {
			t.Errorf("%d on a server: %q, want %q", status, got, server)
		}
		if got := semconv.HTTPErrorType(false, status); got != client {
			t.Errorf("%d on a client: %q, want %q", status, got, client)
		}
	}
}

// FuzzNames: what comes from a peer's request line never panics, and a method
// never becomes a name of its own.
func FuzzNames(f *testing.F) {
	f.Add("/shop.Order/Get")
	f.Add("GET /a/{b}")
	f.Add("//")
	f.Add("rpc/old,\xff")
	methods := semconv.NewHTTPMethods()
	f.Fuzz(func(t *testing.T, v string) {
		service, name := semconv.SplitRPCMethod(v)
		if joined := service + "/" + name; service != "" && joined != semconv.RPCMethod(v) {
			t.Errorf("SplitRPCMethod(%q) lost something: %q", v, joined)
		}
		if r := semconv.HTTPRoute(v); r != "" && (r[0] != '/' || !strings.HasSuffix(v, r)) {
			t.Errorf("HTTPRoute(%q) = %q", v, r)
		}
		if m := methods.Name(v); m != semconv.Other && m != v && v != "" {
			t.Errorf("Name(%q) = %q", v, m)
		}
		semconv.ParseRPCMode(v)
	})
}
