// com.sun.net.httpserver. Usage: java Server.java PORT LOG
import com.sun.net.httpserver.HttpServer;
import java.io.FileWriter;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

class Server {
    static String quoted(String text) {
        return text == null ? "\"\"" : "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
    }

    public static void main(String[] given) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(given[0])), 0);
        server.createContext("/", exchange -> {
            String mark = exchange.getRequestHeaders().getFirst("X-Mark");
            String key = exchange.getRequestHeaders().getFirst("Authorization");
            String target = exchange.getRequestURI().toString();
            String method = exchange.getRequestMethod();
            synchronized (Server.class) {
                try (FileWriter log = new FileWriter(given[1], true)) {
                    log.write("{\"method\":" + quoted(method) + ",\"target\":" + quoted(target)
                        + ",\"mark\":" + quoted(mark) + ",\"key\":" + quoted(key) + "}\n");
                }
            }
            if (!target.startsWith("/unread")) exchange.getRequestBody().readAllBytes();
            byte[] body = mark == null ? new byte[0] : mark.getBytes();
            exchange.getResponseHeaders().set("X-Answer", mark == null ? "" : mark);
            boolean bare = method.equals("HEAD") || body.length == 0;
            exchange.sendResponseHeaders(200, bare ? -1 : body.length);
            if (!bare) exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.setExecutor(Executors.newFixedThreadPool(16));
        server.start();
    }
}
