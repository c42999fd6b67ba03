package clientela

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	pb "clientela.dev/clientela/v1"
)

// certified is a self-signed certificate of this machine.
func certified(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	signed, err := x509.CreateCertificate(rand.Reader, certificate, certificate, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err = x509.ParseCertificate(signed)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key, Leaf: certificate}
}

func TestAServerIsSpokenToOverTLSWithTheAuthorityThatIsNamed(t *testing.T) {
	certificate := certified(t)
	service := &scripted{}
	address := serve(t, service, "127.0.0.1:0", grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	authorities := x509.NewCertPool()
	authorities.AddCert(certificate.Leaf)
	client := client(t, Options{Address: address, Key: "clt_k", TLS: &tls.Config{RootCAs: authorities}})
	if _, err := client.Carts.ClearCart(t.Context(), &pb.ClearCartRequest{}); err != nil {
		t.Fatal(err)
	}
	if got := service.headers.Get("authorization"); len(got) != 1 || got[0] != "Bearer clt_k" {
		t.Errorf("the key was %q", got)
	}
}

func TestAServerThatNobodyVouchesForGetsNoCallAndNoKey(t *testing.T) {
	certificate := certified(t)
	service := &scripted{}
	address := serve(t, service, "127.0.0.1:0", grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	// The authorities of the system, and a server without TLS.
	for name, address := range map[string]string{"stranger": address, "plaintext": serve(t, service, "127.0.0.1:0")} {
		client := client(t, Options{Address: address, Key: "clt_k", TLS: &tls.Config{}})
		_, err := client.Carts.ClearCart(t.Context(), &pb.ClearCartRequest{})
		var typed *Error
		if !errors.As(err, &typed) || typed.Code != codes.Unavailable || typed.Reason != 0 {
			t.Errorf("%s: was %v", name, err)
		}
	}
	if len(service.ids) != 0 || service.headers != nil {
		t.Errorf("was called with %v", service.headers)
	}
}

func TestOnlyLoopbackIsPlaintextWithoutBeingAsked(t *testing.T) {
	for _, c := range []struct {
		address   string
		options   Options
		plaintext bool
	}{
		{"127.0.0.1:1", Options{}, true},
		{"localhost:1", Options{}, true},
		{"[::1]:1", Options{}, true},
		{"dns:///127.0.0.1:1", Options{}, true},
		{"127.0.0.1:1", Options{TLS: &tls.Config{}}, false},
		{"shop.example.test:443", Options{}, false},
		{"dns:///shop.example.test:443", Options{}, false},
		{"shop.example.test", Options{}, false},
		{"10.0.0.1:1", Options{}, false},
		{"[2001:db8::1]:1", Options{}, false},
		{"localhost.example.test:1", Options{}, false},
		{"127.0.0.1.example.test:1", Options{}, false},
		{"shop.example.test:443", Options{Plaintext: true}, true},
	} {
		c.options.Address = c.address
		first := firstWords(t, c.options)
		// A connection in plaintext begins with the preface of HTTP/2, one over TLS with a handshake.
		want := map[bool]string{true: "PRI", false: "\x16\x03\x01"}[c.plaintext]
		if first != want {
			t.Errorf("%s: %+v: began with %q", c.address, c.options, first)
		}
	}
}

// firstWords returns the first bytes that a client sends to the host of its address, which the test redirects
// to itself.
func firstWords(t *testing.T, options Options) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	names := manual.NewBuilderWithScheme("dns")
	names.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: listener.Addr().String()}}})
	options.Dial = []grpc.DialOption{grpc.WithResolvers(names), grpc.WithNoProxy()}
	options.Key = "clt_k"
	client := client(t, options)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go client.Carts.ClearCart(ctx, &pb.ClearCartRequest{})
	connection, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	connection.SetReadDeadline(time.Now().Add(patience))
	first := make([]byte, 3)
	if _, err := io.ReadFull(connection, first); err != nil {
		t.Fatal(err)
	}
	return string(first)
}
