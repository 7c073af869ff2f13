import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Base64;

/** A client of java.net.http, which leaves HTTPS_PROXY to its users: run it with a URL; the key is in TOKEN. */
class InterceptClient {
    public static void main(String[] arguments) throws Exception {
        URI proxy = URI.create(System.getenv("HTTPS_PROXY"));
        HttpClient client = HttpClient.newBuilder()
            .proxy(ProxySelector.of(new InetSocketAddress(proxy.getHost(), proxy.getPort())))
            .build();
        String login = Base64.getEncoder().encodeToString(proxy.getUserInfo().getBytes());
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
            .header("Proxy-Authorization", "Basic " + login) // with an Authenticator it drops the next one
            .header("Authorization", "Bearer " + System.getenv("TOKEN"))
            .build();
        HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
        if (response.statusCode() != 200) {
            System.err.println("refused " + response.statusCode() + " " + response.body());
            System.exit(1);
        }
        System.out.println(response.body());
    }
}
