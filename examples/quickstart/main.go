// SPDX-License-Identifier: Apache-2.0

// Command quickstart is a service that speaks gRPC and HTTP with everything on.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/examples/quickstart/greeterpb"
	"github.com/fairlead-go/fairlead/telemetry"
)

type greeter struct {
	greeterpb.UnimplementedGreeterServer
}

func (greeter) Greet(ctx context.Context, r *greeterpb.GreetRequest) (*greeterpb.GreetReply, error) {
	slog.InfoContext(ctx, "greeting", "name", r.GetName())
	return &greeterpb.GreetReply{Text: "hello, " + r.GetName()}, nil
}

func main() {
	svc, err := fairlead.New("greeter", fairlead.WithTelemetry(telemetry.ForService()), fairlead.WithPlaintext(),
		fairlead.WithGRPC("127.0.0.1:8081"), fairlead.WithHTTP("127.0.0.1:8080"), fairlead.WithAdmin("127.0.0.1:9090"))
	if err != nil {
		log.Fatal(err)
	}
	slog.SetDefault(svc.Logger())
	greeterpb.RegisterGreeterServer(svc.GRPC(), greeter{})
	svc.HTTP().HandleFunc("GET /greet/{name}", func(w http.ResponseWriter, r *http.Request) {
		reply, _ := greeter{}.Greet(r.Context(), &greeterpb.GreetRequest{Name: r.PathValue("name")})
		fmt.Fprintln(w, reply.GetText())
	})
	if err := svc.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
