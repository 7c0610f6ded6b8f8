// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/health"
)

// database is a driver of database/sql that answers as it is told.
type database struct {
	ping, query, rows error
}

func (d database) Connect(context.Context) (driver.Conn, error) { return conn{d}, nil }
func (d database) Driver() driver.Driver                        { return nil }

type conn struct{ database }

func (c conn) Ping(context.Context) error          { return c.ping }
func (c conn) Prepare(string) (driver.Stmt, error) { return nil, errors.New("not prepared") }
func (c conn) Close() error                        { return nil }
func (c conn) Begin() (driver.Tx, error)           { return nil, errors.New("no transactions") }
func (c conn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return rows{c.rows}, c.query
}

type rows struct{ err error }

func (r rows) Columns() []string { return []string{"1"} }
func (r rows) Close() error      { return nil }
func (r rows) Next([]driver.Value) error {
	if r.err != nil {
		return r.err
	}
	return io.EOF
}

func TestSQL(t *testing.T) {
	for _, tc := range []struct {
		name        string
		db          database
		ping, query error
	}{
		{"well", database{}, nil, nil},
		{"down", database{ping: errDown, query: errDown}, errDown, errDown},
		{"only queries fail", database{query: errDown}, nil, errDown},
		{"only rows fail", database{rows: errDown}, nil, errDown},
	} {
		db := sql.OpenDB(tc.db)
		if err := health.SQL(db)(t.Context()); !errors.Is(err, tc.ping) {
			t.Errorf("%s: SQL: %v, want %v", tc.name, err, tc.ping)
		}
		if err := health.SQLQuery(db, "SELECT 1")(t.Context()); !errors.Is(err, tc.query) {
			t.Errorf("%s: SQLQuery: %v, want %v", tc.name, err, tc.query)
		}
		if got := db.Stats().InUse; got != 0 {
			t.Errorf("%s: %d connections in use after it", tc.name, got)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSQLPool: requests that get no connection are an outage, too.
func TestSQLPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := sql.OpenDB(database{})
		defer db.Close()
		db.SetMaxOpenConns(1)
		taken, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s := exact(t)
		add(t, s, "db", health.SQL(db))
		s.Start()
		time.Sleep(sec)
		synctest.Wait()
		if got := result(t, s, "db"); got.State != health.StateTimeout {
			t.Errorf("with a pool that is exhausted: %+v, want a timeout", got)
		}
		if err := taken.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * sec)
		if got := result(t, s, "db"); got.State != health.StateOK {
			t.Errorf("after it: %+v", got)
		}
	})
}

// statusCmd and redisClient have the shape of go-redis.
type statusCmd struct{ err error }

func (c *statusCmd) Err() error { return c.err }

type redisClient struct{ err error }

func (c *redisClient) Ping(context.Context) *statusCmd { return &statusCmd{c.err} }

func TestRedis(t *testing.T) {
	if err := health.Redis(&redisClient{})(t.Context()); err != nil {
		t.Error(err)
	}
	if err := health.Redis(&redisClient{errDown})(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("%v, want %v", err, errDown)
	}
}

func TestHTTP(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
		case "/away":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/head":
			if r.Method != http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
			}
		case "/hangs":
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer srv.Close()
	client := srv.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, tc := range []struct {
		path string
		opts []health.HTTPOption
		want string
	}{
		{"/ok", nil, ""},
		{"/away", nil, "status 302"},
		{"/away", []health.HTTPOption{health.WithStatus(200, 302)}, ""},
		{"/ok", []health.HTTPOption{health.WithStatus(204)}, "status 200"},
		{"/head", nil, "status 405"},
		{"/head", []health.HTTPOption{health.WithMethod(http.MethodHead)}, ""},
		{"/teapot", nil, "status 418"},
		{"/hangs", nil, "deadline exceeded"},
	} {
		check, err := health.HTTP(client, srv.URL+tc.path, tc.opts...)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if tc.path == "/hangs" {
			ctx, cancel = context.WithTimeout(t.Context(), 50*ms)
		}
		err = check(ctx)
		cancel()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.path, err, tc.want)
		}
	}
}

func TestTCP(t *testing.T) {
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	check, err := health.TCP(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := check(t.Context()); err == nil {
		t.Error("nobody listens, and it passes")
	}
}

func TestDisk(t *testing.T) {
	if runtime.GOOS == "windows" {
		if _, err := health.Disk("/", 1); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v, want ErrUnsupported", err)
		}
		return
	}
	for _, tc := range []struct {
		path string
		min  int64
		want string
	}{
		{t.TempDir(), 1, ""},
		{t.TempDir(), 1 << 62, "and needs 4611686018427387904"},
		{t.TempDir() + "/gone", 1, "no such file"},
	} {
		check, err := health.Disk(tc.path, tc.min)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(t.Context()); (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.path, err, tc.want)
		}
	}
}

func TestHelpersRefuse(t *testing.T) {
	client := &http.Client{}
	for want, f := range map[string]func() (health.Check, error){
		"nil client":                  func() (health.Check, error) { return health.HTTP(nil, "http://a/") },
		`must begin with http://`:     func() (health.Check, error) { return health.HTTP(client, "a:80") },
		"cannot be parsed":            func() (health.Check, error) { return health.HTTP(client, "http://u:secret@a b") },
		"WithStatus: is 100":          func() (health.Check, error) { return health.HTTP(client, "http://a/", health.WithStatus(100)) },
		"WithMethod":                  func() (health.Check, error) { return health.HTTP(client, "http://a/", health.WithMethod("G T")) },
		"missing port":                func() (health.Check, error) { return health.TCP("a") },
		"must have a host and a port": func() (health.Check, error) { return health.TCP(":80") },
		"path is empty":               func() (health.Check, error) { return health.Disk("", 1) },
		"least free bytes is -1":      func() (health.Check, error) { return health.Disk("/", -1) },
	} {
		check, err := f()
		if check != nil || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	s := exact(t)
	for name, check := range map[string]health.Check{"sql": health.SQL(nil), "query": health.SQLQuery(nil, ""), "redis": health.Redis[*statusCmd](nil)} {
		if err := s.Add(name, check); err == nil || !strings.Contains(err.Error(), "nil check") {
			t.Errorf("%s: %v, want nil check", name, err)
		}
	}
}

// slow has a time limit of its own, as connections have.
type slow struct{}

func (slow) Error() string { return "i/o timeout" }
func (slow) Timeout() bool { return true }

func TestStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for want, err := range map[health.State]error{
			health.StateOK: nil, health.StateError: errDown, health.StateTimeout: slow{},
		} {
			s := exact(t)
			add(t, s, "db", newDependency(err).check)
			s.Start()
			synctest.Wait()
			if got := result(t, s, "db").State; got != want {
				t.Errorf("%v: %v, want %v", err, got, want)
			}
		}
	})
	for s := range health.State(6) {
		if s.String() == "invalid" {
			t.Errorf("state %d has no name", s)
		}
	}
	if got := health.State(6).String() + health.Status(4).String() + health.Criticality(3).String(); got != "invalidinvalidinvalid" {
		t.Errorf("names of what there is not: %s", got)
	}
}
