// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"time"

	"github.com/fairlead-go/fairlead/health"
)

func Example() {
	checks, err := health.NewSet()
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = checks.Add("db", func(context.Context) error { return nil })
	_ = checks.Add("redis", func(context.Context) error { return errors.New("no route to 10.0.0.7") }, health.Optional)
	checks.Start()
	defer checks.Close()
	if err := checks.Ready(context.Background()); err != nil {
		fmt.Println(err)
	}
	for checks.Results()[1].State == health.StatePending {
		time.Sleep(time.Millisecond)
	}
	w := httptest.NewRecorder()
	checks.Readyz().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	fmt.Println(w.Code, regexp.MustCompile(`[0-9][0-9T:Z.-]*`).ReplaceAllString(w.Body.String(), "…"))
	// Output:
	// 200 {"status":"ok","timestamp":"…","db":"ok","db_ping_ms":…,"redis":"error","redis_ping_ms":…}
}

// A process that stops says so before it does, and gives its reasons to logs.
func ExampleSet_Check() {
	checks, _ := health.NewSet()
	_ = checks.Add("db", func(context.Context) error { return nil })
	fmt.Println(checks.Check(context.Background()))
	checks.Start()
	defer checks.Close()
	_ = checks.Ready(context.Background())
	fmt.Println(checks.Check(context.Background()))
	checks.Stop()
	fmt.Println(checks.Check(context.Background()))
	// Output:
	// health: starting: the set was not started: db: pending
	// <nil>
	// health: draining
}

func ExampleSet_Watch() {
	checks, _ := health.NewSet()
	beat, _ := checks.Watch("consumer", 40*time.Millisecond)
	checks.Start()
	defer checks.Close()
	messages, end := make(chan string), make(chan struct{})
	defer close(end)
	go func() {
		defer beat.Done()
		<-messages
		beat.Beat() // and now it hangs
		<-end
	}()
	beat.Pause() // until there is a message
	_ = checks.Ready(context.Background())
	fmt.Println(checks.Status())
	messages <- "hello"
	for checks.Status() == health.StatusReady {
		time.Sleep(time.Millisecond)
	}
	fmt.Println(checks.Check(context.Background()))
	// Output:
	// ready
	// health: failing: consumer: stuck (no beat for 40ms)
}

// A registration's heartbeat goes out when readiness changes, and not at its next turn.
func ExampleSet_Subscribe() {
	checks, _ := health.NewSet()
	defer checks.Close()
	cancel := checks.Subscribe(func() { fmt.Println("told:", checks.Status()) })
	defer cancel()
	checks.Start()
	checks.Stop()
	// Output:
	// told: ready
	// told: draining
}

func ExampleObserver() {
	checks, _ := health.NewSet(health.WithObserver(health.Observer{
		Changed:       func(c health.Change) { fmt.Println(c.Name, c.From, "→", c.To) },
		StatusChanged: func(c health.StatusChange) { fmt.Println("status", c.From, "→", c.To) },
	}))
	_ = checks.Add("db", func(context.Context) error { return nil })
	checks.Start()
	_ = checks.Ready(context.Background())
	checks.Close()
	// Output:
	// db pending → ok
	// status starting → ready
	// status ready → draining
}

func ExampleGroup() {
	checks, _ := health.NewSet()
	_ = checks.Add("db", func(context.Context) error { return nil })
	_ = checks.Add("mail", func(context.Context) error { return errors.New("away") }, health.Optional)
	orders, _ := checks.Group("db")
	receipts, _ := checks.Group("db", "mail")
	checks.Start()
	defer checks.Close()
	_ = checks.Ready(context.Background())
	for checks.Results()[1].State == health.StatePending {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("orders:", orders.Check(context.Background()))
	fmt.Println("receipts:", receipts.Check(context.Background()))
	// Output:
	// orders: <nil>
	// receipts: health: failing: mail: error (away)
}

func ExampleSQL() {
	db := sql.OpenDB(database{}) // in a program: sql.Open("pgx", dsn)
	defer db.Close()
	fmt.Println(health.SQL(db)(context.Background()))
	fmt.Println(health.SQLQuery(db, "SELECT 1")(context.Background()))
	// Output:
	// <nil>
	// <nil>
}

func ExampleRedis() {
	rdb := &redisClient{} // in a program: redis.NewClient(options)
	fmt.Println(health.Redis(rdb)(context.Background()))
	// Output: <nil>
}

func ExampleHTTP() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	defer srv.Close()
	check, err := health.HTTP(srv.Client(), srv.URL+"/readyz", health.WithStatus(http.StatusNoContent))
	fmt.Println(err, check(context.Background()))
	// Output: <nil> <nil>
}

func ExampleTCP() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	check, err := health.TCP(l.Addr().String())
	fmt.Println(err, check(context.Background()))
	// Output: <nil> <nil>
}

func ExampleDisk() {
	check, err := health.Disk(os.TempDir(), 1<<10)
	fmt.Println(err, check(context.Background()))
	_, err = health.Disk("", 0)
	fmt.Println(err)
	// Output:
	// <nil> <nil>
	// health: Disk: path is empty and must be a file or a folder
	// least free bytes is 0 and must be positive
}
