// Sends one message with Go's net/smtp, in clear or under STARTTLS.
//
//	netsmtp clear|TLS|"TLS 1.2" HOST:PORT FROM TO FILE
package main

import (
	"crypto/tls"
	"fmt"
	"net/smtp"
	"os"
)

func send(way, server, from, to string, content []byte) error {
	client, err := smtp.Dial(server)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Hello("client.example"); err != nil {
		return err
	}
	if way != "clear" {
		config := &tls.Config{InsecureSkipVerify: true}
		if way == "TLS 1.2" {
			config.MaxVersion = tls.VersionTLS12
		}
		if err := client.StartTLS(config); err != nil {
			return err
		}
	}
	if err := client.Mail(from); err != nil {
		return err
	}
	if err := client.Rcpt(to); err != nil {
		return err
	}
	data, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := data.Write(content); err != nil {
		return err
	}
	if err := data.Close(); err != nil {
		return err
	}
	return client.Quit()
}

func main() {
	content, err := os.ReadFile(os.Args[5])
	if err == nil {
		err = send(os.Args[1], os.Args[2], os.Args[3], os.Args[4], content)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
