// SPDX-License-Identifier: Apache-2.0

package notify_test

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/notify"
	"github.com/fairlead-go/fairlead/examples/shop/internal/queue"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

func newMailer(t *testing.T, opts ...store.Option) *notify.Mailer {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "notify.db"), notify.Schema, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return notify.NewMailer(db, slog.New(slog.DiscardHandler))
}

func message(body string) queue.Message { return queue.Message{ID: 1, Body: json.RawMessage(body)} }

func TestOneMailForEachCharge(t *testing.T) {
	m := newMailer(t)
	for _, charge := range []string{"ch_1", "ch_1", "ch_2"} {
		if err := m.Handle(t.Context(), message(`{"id":"`+charge+`","customer":"ada"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := m.Sent(t.Context(), "ada"); err != nil || n != 2 {
		t.Errorf("sent %d, %v; want 2", n, err)
	}
}

func TestHandleFails(t *testing.T) {
	if err := newMailer(t).Handle(t.Context(), message(`"?"`)); err == nil {
		t.Error("garbage was mailed")
	}
	down := newMailer(t, store.WithFault(chaos.Fault{FailRate: 1}))
	if err := down.Handle(t.Context(), message(`{"id":"ch_1"}`)); err == nil {
		t.Error("a database that is down went unnoticed")
	}
}
