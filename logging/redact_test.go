// SPDX-License-Identifier: Apache-2.0

package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/logging"
)

func newRedactor(t testing.TB, opts ...logging.RedactorOption) *logging.Redactor {
	t.Helper()
	r, err := logging.NewRedactor(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSensitive(t *testing.T) {
	r := newRedactor(t)
	for key, want := range map[string]bool{
		"password": true, "PASSWORD": true, "db.password": true, "user_password": true, "userPassword": true,
		"password_hash": true, "password2": true, "new-password-2": true, "http.request.header.authorization": true,
		"Authorization": true, "Proxy-Authorization": true, "Cookie": true, "Set-Cookie": true, "cookies": true,
		"X-Api-Key": true, "x-api-key": true, "api_key": true, "apikey": true, "apiKey": true, "APIKey": true, "X_API_KEY": true,
		"private_key": true, "privateKeyPem": true, "aws_secret_access_key": true, "AWSAccessKeyId": true,
		"token": true, "access_token": true, "accesstoken": true, "refreshToken": true, "X-Amz-Security-Token": true,
		"secret": true, "client_secret": true, "secret.key": true, "credentials": true, "session": true, "session_id": true,
		"sessionID": true, "session.id": true, "token_id": true, "pwd": true, "otp": true, "dsn": true,

		"": false, "_": false, "key": false, "keys": false, "monkey": false, "user": false, "author": false, "authority": false,
		"compass": false, "passwordless": false, "secretary": false, "tokens": false, "max_tokens": false, "tokenizer": false,
		"token_count": false, "tokenCount": false, "token.count": false, "token_type": false, "password_length": false,
		"secret_name": false, "session_expires_at": false, "session_duration": false, "page_token": false, "nextPageToken": false,
		"page_token_secret": true, "public_key": false, "api": false, "obsession": false, "http.route": false,
		"trace_id": false, "rpc.method": false, "duration_ms": false, "error": false,
		strings.Repeat("long_", 100) + "password": true, strings.Repeat("long_", 100): false,
	} {
		for range 2 { // the second time from memory
			if got := r.Sensitive(key); got != want {
				t.Errorf("%q: got %v, want %v", key, got, want)
			}
		}
	}
}

// TestVerdictMemory is for more keys than the redactor remembers: the verdicts
// stay right.
func TestVerdictMemory(t *testing.T) {
	r := newRedactor(t)
	for i := range 5000 {
		key := fmt.Sprintf("k%d", i)
		if r.Sensitive(key) || !r.Sensitive(key+".token") {
			t.Fatalf("wrong verdict on %s or %s.token", key, key)
		}
	}
	if raceEnabled {
		return
	}
	// Once the places are taken, new keys cost no memory.
	fresh := [...]string{"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
	if got := testing.AllocsPerRun(100, func() {
		for _, k := range fresh {
			r.Sensitive(k)
		}
	}); got > 0 {
		t.Errorf("%v allocations, want none", got)
	}
}

func TestRedactorOptions(t *testing.T) {
	r := newRedactor(t,
		logging.WithRedactedKeys("IBAN", "customer-number", "密码"),
		logging.WithAllowedKeys("session.id"))
	for key, want := range map[string]bool{
		"iban": true, "customer_number": true, "customerNumber": true, "customernumber": true, "密码": true,
		"customer": false, "number": false, "session_id": false, "session": true, "password": true,
	} {
		if got := r.Sensitive(key); got != want {
			t.Errorf("%q: got %v, want %v", key, got, want)
		}
	}
	// What is on the list for its last word is not excused by it.
	if r := newRedactor(t, logging.WithRedactedKeys("display_name")); !r.Sensitive("display_name") || r.Sensitive("name") {
		t.Error("display_name: got shown, want redacted")
	}
	r = newRedactor(t, logging.WithoutDefaultKeys(), logging.WithRedactedKeys("iban"))
	if r.Sensitive("password") || !r.Sensitive("iban") {
		t.Error("the default list is still there, or the other is not")
	}
	_, err := logging.NewRedactor(logging.WithRedactedKeys("", "a_b_c_d"), logging.WithAllowedKeys("--"))
	const want = `logging: WithRedactedKeys: "" has 0 words, want 1 to 3
logging: WithRedactedKeys: "a_b_c_d" has 4 words, want 1 to 3
logging: WithAllowedKeys: "--" has no words`
	if err == nil || err.Error() != want {
		t.Errorf("got error\n%v\nwant\n%s", err, want)
	}
}

type account struct {
	Name     string `json:"name"`
	Password string `json:"pass_word,omitempty"`
	Limits   []int
	Parent   *account `json:",omitempty"`
	hidden   string
}

type base struct{ Token string }

type wrapped struct {
	base
	*account
	Note   string `json:"-"`
	secret string
}

type carriesSecret struct{ s logging.Secret }

type metadata map[string][]string // as metadata.MD is

// encodes has fields and an encoding that has nothing to do with them.
type encodes struct{ Password string }

func (e encodes) MarshalJSON() ([]byte, error) { return []byte(`"own ` + e.Password + `"`), nil }

type encodesText struct{ Password string }

func (e encodesText) MarshalText() ([]byte, error) { return []byte("own " + e.Password), nil }

type tagged struct {
	Token string
	A     int       `json:"a,omitzero"`
	B     time.Time `json:",omitzero"`
	Dash  string    `json:"-,"`
}

// kinds has a field of each kind that could go wrong.
type kinds struct {
	*base
	hook  func()
	ch    chan int
	A     [2]string
	Any   any
	B     bool
	C     int8
	Err   error
	F     float32
	P     **int
	X     []map[string]any
	Token string
	local any
	mu    sync.Mutex
}

func deep(n int) map[string]any {
	if n == 0 {
		return map[string]any{}
	}
	return map[string]any{"d": deep(n - 1)}
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestRedaction(t *testing.T) {
	u := mustURL(t, "https://ann:pw@example.com/a?token=t&x=1&sig=s#access_token=f&y=2")
	plainURL := mustURL(t, "https://example.com/a?x=1#part")
	loop := &account{Name: "loop"}
	loop.Parent = loop
	for _, tc := range []struct {
		name string
		args []any
		want string
	}{
		{"string", []any{"password", "p"}, `"password":"[REDACTED]"`},
		{"number", []any{"otp", 123456}, `"otp":"[REDACTED]"`},
		{"bytes", []any{"private_key", []byte("k")}, `"private_key":"[REDACTED]"`},
		{"error", []any{"token", errors.New("bad token x")}, `"token":"[REDACTED]"`},
		{"nothing there", []any{"password", "", "token", nil}, `"password":"","token":null`},
		{"in a group", []any{slog.Group("db", "user", "u", slog.Group("auth", "password", "p"))}, `"db":{"user":"u","auth":{"password":"[REDACTED]"}}`},
		{"all of a sensitive group", []any{slog.Group("credentials", "user", "u", slog.Group("more", "x", 1), "type", "basic")},
			`"credentials":{"user":"[REDACTED]","more":{"x":"[REDACTED]"},"type":"basic"}`},
		{"in a LogValuer", []any{"who", valuer{slog.GroupValue(slog.String("name", "n"), slog.String("token", "t"))}}, `"who":{"name":"n","token":"[REDACTED]"}`},
		{"a LogValuer", []any{"token", valuer{slog.StringValue("t")}}, `"token":"[REDACTED]"`},
		{"type Secret", []any{"key", logging.Secret("s"), "list", []logging.Secret{"a", "b"}}, `"key":"[REDACTED]","list":["[REDACTED]","[REDACTED]"]`},
		{"http.Header", []any{"header", http.Header{"Accept": {"a", "b"}, "Authorization": {"Bearer x"}, "Cookie": {"c=1", "d=2"}}},
			`"header":{"Accept":["a","b"],"Authorization":["[REDACTED]"],"Cookie":["[REDACTED]","[REDACTED]"]}`},
		{"metadata", []any{"md", metadata{"x-api-key": {"k"}, "a": {"b"}}}, `"md":{"a":["b"],"x-api-key":["[REDACTED]"]}`},
		{"url.Values", []any{"form", url.Values{"user": {"u"}, "password": {"p"}}}, `"form":{"password":["[REDACTED]"],"user":["u"]}`},
		{"*url.URL", []any{"url", u}, `"url":"https://REDACTED:REDACTED@example.com/a?token=REDACTED&x=1&sig=REDACTED#access_token=REDACTED&y=2"`},
		{"url.URL", []any{"url", *u}, `"url":"https://REDACTED:REDACTED@example.com/a?token=REDACTED&x=1&sig=REDACTED#access_token=REDACTED&y=2"`},
		{"URL without secrets", []any{"url", plainURL}, `"url":"https://example.com/a?x=1#part"`},
		{"URL inside", []any{"m", map[string]any{"u": u, "v": []*url.URL{plainURL}}},
			`"m":{"u":"https://REDACTED:REDACTED@example.com/a?token=REDACTED&x=1&sig=REDACTED#access_token=REDACTED&y=2","v":["https://example.com/a?x=1#part"]}`},
		{"url.Error", []any{"err", fmt.Errorf("call: %w", &url.Error{Op: "Get", URL: "https://h/?api_key=k&x=1", Err: errors.New("refused")})},
			`"err":"call: Get \"https://h/?api_key=REDACTED&x=1\": refused"`},
		{"url.Error without secrets that does not parse", []any{"err", &url.Error{Op: "parse", URL: "https://h:x/", Err: errors.New("invalid port")}},
			`"err":"parse \"https://h:x/\": invalid port"`},
		{"url.Error that does not parse", []any{"err", &url.Error{Op: "parse", URL: "https://u:p@h:x/", Err: errors.New("invalid port")}},
			`"err":"parse \"[REDACTED]\": invalid port"`},
		{"map", []any{"m", map[string]any{"a": 1, "auth": map[string]string{"token": "t"}, "l": []any{map[string]any{"pwd": "p"}, 2}}},
			`"m":{"a":1,"auth":{"token":"[REDACTED]"},"l":[{"pwd":"[REDACTED]"},2]}`},
		{"struct", []any{"a", account{Name: "n", Password: "p", Limits: []int{1}, hidden: "h"}}, `"a":{"Limits":[1],"name":"n","pass_word":"[REDACTED]"}`},
		{"pointer to struct", []any{"a", &account{Name: "n", Parent: &account{Password: "p"}}},
			`"a":{"Limits":null,"Parent":{"Limits":null,"name":"","pass_word":"[REDACTED]"},"name":"n"}`},
		{"struct without secrets", []any{"a", account{Name: "n", hidden: "h"}}, `"a":{"name":"n","Limits":null}`},
		{"embedded structs", []any{"w", wrapped{base: base{"t"}, account: &account{Name: "n"}, Note: "x"}}, `"w":{"Limits":null,"Token":"[REDACTED]","name":"n"}`},
		{"embedded nil", []any{"w", wrapped{base: base{"t"}}}, `"w":{"Token":"[REDACTED]"}`},
		{"unexported field", []any{"w", wrapped{secret: "hunter2"}}, `"w":{"Token":""}`},
		{"unexported Secret", []any{"c", carriesSecret{"hunter2"}}, `"c":{}`},
		{"sensitive slice", []any{"m", map[string]any{"token": []int{1, 2}, "password": []byte("p"), "cookies": []any{}}},
			`"m":{"cookies":[],"password":"[REDACTED]","token":"[REDACTED]"}`},
		{"has its own encoding", []any{"e", encodes{Password: "shown"}, "m", map[string]any{"x": encodes{Password: "shown"}, "token": encodes{Password: "p"}}},
			`"e":"own shown","m":{"token":"[REDACTED]","x":"own shown"}`},
		{"encodes itself as text", []any{"e", encodesText{"shown"}, "m", map[string]any{"x": encodesText{"shown"}}}, `"e":"own shown","m":{"x":"own shown"}`},
		{"zero values in a map", []any{"m", map[string]any{"token": 0, "pwd": "", "cookie": false, "otp": 1}}, `"m":{"cookie":false,"otp":"[REDACTED]","pwd":"","token":0}`},
		{"tags", []any{"t", tagged{Token: "t", Dash: "d"}}, `"t":{"-":"d","Token":"[REDACTED]"}`},
		{"any key of a map", []any{"a", map[int]string{1: "a\n"}, "b", map[any]any{2.5: "b\n"}, "c", map[[2]int]string{{1, 2}: "c\n"}},
			`"a":{"1":"a\\n"},"b":{"2.5":"b\\n"},"c":{"[1 2]":"c\\n"}`},
		{"all kinds", []any{"k", &kinds{Token: "t", B: true, C: 2, F: 0.5, hook: func() {}, ch: make(chan int), local: 1}}, `"k":{"A":["",""],"Any":null,"B":true,"C":2,"Err":null,"F":0.5,"P":null,"Token":"[REDACTED]","X":null}`},
		{"deep", []any{"d", deep(30)}, `"d":` + strings.Repeat(`{"d":`, 17) + `"[TRUNCATED]"` + strings.Repeat("}", 17)},
		{"loop", []any{"a", slog.AnyValue(loop)}, `"a":{"Limits":null,"Parent":`},
		{"nil values", []any{"a", (*account)(nil), "b", map[string]any(nil), "c", (*url.URL)(nil), "d", http.Header(nil)}, `"a":null,"b":null,"c":null,"d":null`},
		{"nil error", []any{"err", (*url.Error)(nil)}, `"err":"<nil>"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := line(t, func(l *slog.Logger) { l.Info("m", tc.args...) })
			want := `{"level":"INFO","msg":"m",` + tc.want
			if tc.name == "loop" { // cut somewhere
				if !strings.HasPrefix(got, want) || !strings.Contains(got, `"[TRUNCATED]"`) {
					t.Errorf("got %s", got)
				}
				return
			}
			if got != want+"}" {
				t.Errorf("got\n%s want\n%s}", got, want)
			}
			// The same through Logger.With, and as text, where fmt prints unexported fields too.
			got = line(t, func(l *slog.Logger) { l.With(tc.args...).Info("m") })
			if got != want+"}" {
				t.Errorf("With: got\n%s want\n%s}", got, want)
			}
			var buf bytes.Buffer
			slog.New(logging.NewHandler(newText(&buf))).Info("m", tc.args...)
			for _, secret := range []string{"Bearer", "c=1", "ann", ":p@", "hunter2", "=t&", "=k&", "=f&", "123456"} {
				if strings.Contains(buf.String(), secret) {
					t.Errorf("text has %q: %s", secret, buf.String())
				}
			}
		})
	}
}

// TestRedactionByGroup is for groups that WithGroup opens.
func TestRedactionByGroup(t *testing.T) {
	got := line(t, func(l *slog.Logger) {
		l.WithGroup("session").With("id", "1").WithGroup("x").Info("m", "y", 2, "count", 3)
	})
	if want := `{"level":"INFO","msg":"m","session":{"id":"[REDACTED]","x":{"y":"[REDACTED]","count":3}}}`; got != want {
		t.Errorf("got\n%s want\n%s", got, want)
	}
}

func TestWithoutRedaction(t *testing.T) {
	u := mustURL(t, "https://ann:pw@example.com/?token=t")
	got := line(t, func(l *slog.Logger) {
		l.Info("m", "password", "p", "h", http.Header{"Cookie": {"c"}}, "u", u, "s", logging.Secret("s"), "err", &url.Error{Op: "Get", URL: u.String(), Err: errors.ErrUnsupported})
	}, logging.WithoutRedaction())
	want := `{"level":"INFO","msg":"m","password":"p","h":{"Cookie":["c"]},"u":"https://ann:pw@example.com/?token=t","s":"[REDACTED]","err":"Get \"https://ann:pw@example.com/?token=t\": unsupported operation"}`
	if got != want {
		t.Errorf("got\n%s want\n%s", got, want)
	}
}

// TestRedactorAttr is the redactor outside of a handler, as spans use it: it
// redacts and does nothing else.
func TestRedactorAttr(t *testing.T) {
	r := newRedactor(t)
	for _, tc := range []struct{ in, want slog.Attr }{
		{slog.String("token", "t"), slog.String("token", logging.Redacted)},
		{slog.Any("k", logging.Secret("s")), slog.String("k", logging.Redacted)},
		{slog.Group("g", "a", 1, "pwd", "p"), slog.Group("g", "a", 1, "pwd", logging.Redacted)},
		{slog.String("a\n", strings.Repeat("x\n", 10000)), slog.String("a\n", strings.Repeat("x\n", 10000))},
		{slog.Any("h", http.Header{"A": {"b\n"}}), slog.Any("h", http.Header{"A": {"b\n"}})},
		{slog.Attr{}, slog.Attr{}},
	} {
		if diff := cmp.Diff(fmt.Sprintf("%#v", tc.want.Value.Any()), fmt.Sprintf("%#v", r.Attr(tc.in).Value.Any())); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tc.in, diff)
		}
	}
	var none *logging.Redactor
	if got := none.Attr(slog.String("token", "t")); got.Value.String() != "t" || none.Sensitive("token") {
		t.Errorf("nil redactor: got %v", got)
	}
}

func TestURL(t *testing.T) {
	r := newRedactor(t)
	for in, want := range map[string]string{
		"":                                    "",
		"/a/b":                                "/a/b",
		"https://h/?a=1&b=2":                  "https://h/?a=1&b=2",
		"https://user@h/":                     "https://REDACTED@h/",
		"https://h/?X-Amz-Signature=s&a=%20x": "https://h/?X-Amz-Signature=REDACTED&a=%20x",
		"https://h/?to%6ben=s;a=1":            "https://h/?to%6ben=REDACTED;a=1",
		"https://h/?token=&token&a":           "https://h/?token=&token&a",
		"https://h/?a=1&password=x=y&password=z#frag": "https://h/?a=1&password=REDACTED&password=REDACTED#frag",
		"https://h/?%zz=1&token=t":                    "https://h/?%zz=1&token=REDACTED",
		"mailto:ann@example.com":                      "mailto:ann@example.com",
	} {
		if got := r.URL(mustURL(t, in)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if got := r.URL(nil); got != "" {
		t.Errorf("nil URL: got %q", got)
	}
	if got := r.Query("sig=a&code=b"); got != "sig=REDACTED&code=b" {
		t.Errorf("Query: got %q", got)
	}
}

func TestSecret(t *testing.T) {
	s := logging.Secret("hunter2")
	outputs := map[string]string{"String": s.String(), "GoString": s.GoString(), "LogValue": s.LogValue().String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s"} {
		outputs[verb] = fmt.Sprintf(verb, s)
		outputs["struct "+verb] = fmt.Sprintf(verb, struct{ S logging.Secret }{s})
		outputs["pointer "+verb] = fmt.Sprintf(verb, &s)
	}
	for name, v := range map[string]any{"json": s, "json struct": struct{ S *logging.Secret }{&s}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		outputs[name] = string(b)
	}
	text, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	outputs["text"] = string(text)
	for name, got := range outputs {
		if !strings.Contains(got, logging.Redacted) || strings.Contains(got, "hunter") || strings.Contains(strings.ToLower(got), "68756e746572") {
			t.Errorf("%s: got %s", name, got)
		}
	}
	if got := s.Reveal(); got != "hunter2" {
		t.Errorf("Reveal: got %s", got)
	}
	var back logging.Secret
	if err := json.Unmarshal([]byte(`"hunter2"`), &back); err != nil || back != s {
		t.Errorf("unmarshalled %q, %v", back.Reveal(), err)
	}
}
