import com.google.gson.Gson;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** Runs the samples of these names one after another, and writes {name: {ok, out}}. */
public class Samples {
    public static void main(String[] names) throws ReflectiveOperationException {
        PrintStream out = System.out;
        Map<String, Object> outcomes = new LinkedHashMap<>();
        for (String name : names) outcomes.put(name, run(name));
        new PrintStream(out, true, StandardCharsets.UTF_8).println(new Gson().toJson(outcomes));
        System.exit(0); // the SDK keeps its connections
    }

    private static Map<String, Object> run(String name) throws ReflectiveOperationException {
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        try {
            Class.forName("Sample" + name).getMethod("main", String[].class).invoke(null, (Object) new String[0]);
            return Map.of("ok", true, "out", printed.toString(StandardCharsets.UTF_8));
        } catch (InvocationTargetException error) {
            StringWriter trace = new StringWriter();
            error.getCause().printStackTrace(new PrintWriter(trace));
            return Map.of("ok", false, "out", trace.toString());
        }
    }
}
