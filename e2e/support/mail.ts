import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';

/** An SMTP server that keeps what it is sent. */
export class MailSink {
  readonly mails: string[] = [];

  private constructor(private readonly server: Server) {}

  static async start(): Promise<MailSink> {
    const server = createServer();
    const sink = new MailSink(server);
    server.on('connection', socket => sink.converse(socket));
    await new Promise<void>(ready => server.listen(0, '127.0.0.1', ready));
    return sink;
  }

  get url(): string {
    return `smtp://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.server.close();
  }

  private converse(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    socket.write('220 sink\r\n');
    let mail: string[] | undefined;
    createInterface({ input: socket }).on('line', line => {
      if (mail) {
        if (line === '.') {
          this.mails.push(mail.join('\n'));
          mail = undefined;
          socket.write('250 kept\r\n');
        } else {
          mail.push(line.replace(/^\./, ''));
        }
        return;
      }
      const command = line.slice(0, 4).toUpperCase();
      if (command === 'DATA') {
        mail = [];
        socket.write('354 go on\r\n');
      } else if (command === 'QUIT') {
        socket.end('221 bye\r\n');
      } else {
        socket.write('250 ok\r\n');
      }
    });
  }
}
